import functools

import numpy as np

from keras_noisy_student.pseudo_labels.pool_summary import merge, summarize
from tests.toy_data import columns


def test_merged_summaries_of_parts_are_the_summary_of_the_whole():
    random = np.random.default_rng(0)
    pool = columns(random.integers(1, 64, 50) / 64, random.integers(0, 4, 50))
    summaries = [summarize(block, threshold=0.5, num_classes=5) for block in np.split(pool, [0, 1, 20])]
    merged, whole = functools.reduce(merge, summaries), summarize(pool, threshold=0.5, num_classes=5)
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(merged, name), value)


def test_counts_and_extremes():
    pool = columns([0.25, 0.5, 0.75, 1.0], [0, 0, 2, 0])
    summary = summarize(pool, threshold=0.5, num_classes=4)
    assert summary.class_counts.tolist() == [3, 0, 1, 0]
    assert summary.kept_counts.tolist() == [1, 0, 1, 0]
    assert (summary.highest_score, summary.lowest_kept_score) == (1.0, 0.75)
    assert (summary.num_rows, summary.mean_score) == (4, 0.625)
