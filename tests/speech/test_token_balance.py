"""`balance_tokens`: iterative scaling, against loops and what must hold of its result."""

import numpy as np
import pytest

from keras_noisy_student.speech.token_balance import balance_tokens


def random_transcripts(seed, num=200, vocabulary_size=5):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(vocabulary_size, 2.0))
    return [rng.choice(vocabulary_size, rng.integers(1, 8), p=shares).tolist() for _ in range(num)]


def token_shares(transcripts, weights, vocabulary_size=5):
    counts = np.zeros(vocabulary_size)
    for transcript, weight in zip(transcripts, weights, strict=True):
        for token in transcript:
            counts[token] += weight
    return counts / counts.sum()


def balance(transcripts, wanted, *, max_repeats):
    tokens = np.array([token for transcript in transcripts for token in transcript])
    return balance_tokens(tokens, np.array([len(row) for row in transcripts]), wanted, max_repeats=max_repeats)


def scaled_by_loops(transcripts, wanted, iterations=400):
    """Iterative scaling without a cap, one number at a time."""
    exponent = np.zeros(len(wanted))
    weights = np.ones(len(transcripts))
    for _ in range(iterations):
        exponent += np.log(np.array(wanted) / sum(wanted) / token_shares(transcripts, weights))
        weights = np.array([np.exp(np.mean([exponent[token] for token in transcript])) for transcript in transcripts])
    return weights / weights.mean()


@pytest.mark.parametrize("seed", range(3))
def test_tokens_follow_the_distribution_that_is_wanted(seed):
    transcripts, wanted = random_transcripts(seed), np.array([3, 1, 1, 1, 2])
    found = balance(transcripts, wanted, max_repeats=10**6)
    np.testing.assert_allclose(found.weights, scaled_by_loops(transcripts, wanted), rtol=0.02)
    np.testing.assert_allclose(token_shares(transcripts, found.weights), wanted / 8, atol=2e-3)
    assert found.weights.mean() == pytest.approx(1)
    assert found.divergence < 1e-4 < found.divergence_before


def test_no_transcript_is_used_more_often_than_allowed():
    transcripts, wanted = random_transcripts(3), np.array([0, 0, 0, 0, 1]) + 0.01
    free, capped = (balance(transcripts, wanted, max_repeats=most) for most in (10**6, 2))
    assert free.weights.max() > 2
    assert capped.weights.max() <= 2 + 1e-9
    assert capped.weights.mean() == pytest.approx(1)
    assert free.divergence < capped.divergence < capped.divergence_before


def test_a_cap_of_one_uses_all_once():
    found = balance(random_transcripts(4), np.array([5, 1, 1, 1, 1]), max_repeats=1)
    np.testing.assert_allclose(found.weights, 1)


def test_a_distribution_that_is_there_is_left_alone():
    transcripts = random_transcripts(5)
    wanted = token_shares(transcripts, np.ones(200))
    np.testing.assert_allclose(balance(transcripts, wanted, max_repeats=4).weights, 1, atol=1e-6)


def test_tokens_on_one_side_alone_do_not_count():
    transcripts = [[0], [0], [1], [3]]
    found = balance(transcripts, np.array([1, 1, 7, 0]), max_repeats=4)
    assert np.isfinite(found.weights).all()
    assert 2 * found.weights[0] == pytest.approx(found.weights[2], rel=1e-3)
    nothing_in_common = balance(transcripts, np.array([0, 0, 1, 0]), max_repeats=4)
    np.testing.assert_array_equal(nothing_in_common.weights, 1)
