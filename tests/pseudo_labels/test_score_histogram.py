import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.score_histogram import score_histogram
from tests.toy_data import columns


def slow_counts(scores, is_wanted, edges):
    counts = [0] * (len(edges) - 1)
    for score, wanted in zip(scores.astype(np.float64), is_wanted, strict=True):
        for place in range(len(counts)):
            is_last = place == len(counts) - 1
            if wanted and edges[place] <= score and (score < edges[place + 1] or (is_last and score == edges[-1])):
                counts[place] += 1
    return counts


@pytest.mark.parametrize("num_bins", [1, 3, 20])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-7.5, 3.0)])
def test_counts_are_those_of_a_loop_over_scores_and_bins(num_bins, low, high):
    rng = np.random.default_rng(0)
    scores = rng.uniform(low, high, 200).astype(np.float32)
    scores[:2] = low, high
    repeats = rng.integers(0, 3, 200)
    blocks = np.split(columns(scores, np.zeros(200, np.int32)), [50, 120])
    histogram = score_histogram(blocks, repeats, num_bins=num_bins)
    assert (histogram.edges[0], histogram.edges[-1], len(histogram.edges)) == (low, high, num_bins + 1)
    assert histogram.kept.tolist() == slow_counts(scores, repeats > 0, histogram.edges)
    assert histogram.dropped.tolist() == slow_counts(scores, repeats == 0, histogram.edges)
    assert histogram.kept.sum() + histogram.dropped.sum() == 200


def test_refused_rows_are_in_no_bin():
    histogram = score_histogram([columns([-np.inf, -2.0, -1.0], [0, 0, 0])], np.array([0, 1, 0]), num_bins=2)
    assert (histogram.kept.tolist(), histogram.dropped.tolist()) == ([1, 0], [0, 1])


@pytest.mark.parametrize(("scores", "edges"), [([-np.inf], [0, 1]), ([5.0, 5.0], [4.5, 5.5])])
def test_there_are_bins_where_scores_have_no_range(scores, edges):
    histogram = score_histogram([columns(scores, np.zeros(len(scores), np.int32))], np.ones(len(scores)), num_bins=1)
    assert histogram.edges.tolist() == edges


def test_bins_must_be_a_positive_number():
    with pytest.raises(ValueError, match=r"`num_bins` must be a positive integer. Received: num_bins=0."):
        score_histogram([columns([0.5], [0])], np.array([1]), num_bins=0)
