"""`LengthNormalizedScore`, against the normal equations."""

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech import LengthNormalizedScore


def scores_of(lengths, *, mu=-0.4, beta=-1.0, sigma=0.3):
    noise = np.random.default_rng(0).normal(size=len(lengths))
    return mu * lengths + beta + sigma * np.sqrt(lengths) * noise


def test_the_line_is_that_of_least_squares_and_the_deviation_that_of_what_is_left():
    lengths = np.random.default_rng(1).integers(1, 30, 50)
    scores = scores_of(lengths)
    fitted = LengthNormalizedScore.fit(scores, lengths)
    design = np.stack([lengths, np.ones(50)], axis=1)
    mu, beta = np.linalg.solve(design.T @ design, design.T @ scores)
    assert (fitted.mu, fitted.beta) == pytest.approx((mu, beta))
    total = sum((s - mu * n - beta) ** 2 / n for s, n in zip(scores, lengths, strict=True))
    assert fitted.sigma == pytest.approx(np.sqrt(total / 50))


def test_what_scores_were_made_with_is_found_again():
    lengths = np.random.default_rng(1).integers(1, 30, 20_000)
    fitted = LengthNormalizedScore.fit(scores_of(lengths), lengths)
    assert (fitted.mu, fitted.sigma) == pytest.approx((-0.4, 0.3), abs=0.01)
    normalized = fitted(scores_of(lengths), lengths)
    # Neither long nor short transcripts are favoured.
    for part in (normalized[lengths < 10], normalized[lengths > 20]):
        assert np.mean(part) == pytest.approx(0, abs=0.05)
        assert np.std(part) == pytest.approx(1, abs=0.05)


def test_the_score_is_the_formula_of_the_paper():
    score = LengthNormalizedScore(mu=-0.5, beta=0.25, sigma=2.0)
    assert score(-3.0, 9) == pytest.approx((-3.0 + 0.5 * 9 - 0.25) / (2.0 * 3))
    np.testing.assert_allclose(score(tf.constant([-3.0]), tf.constant([9.0])), [score(-3.0, 9)], rtol=1e-6)


def test_empty_transcripts_are_left_out_of_the_fit():
    lengths, scores = np.array([1, 2, 5, 0]), np.array([-1.0, -2.5, -5.0, -100.0])
    assert LengthNormalizedScore.fit(scores, lengths) == LengthNormalizedScore.fit(scores[:3], lengths[:3])


@pytest.mark.parametrize(
    ("scores", "lengths", "message"),
    [
        ([-1.0, -2.0], [1, 2], r"three transcripts or more.*Received: 2 transcripts that are not empty, of 2 lengths"),
        (
            [-1.0, -2.0, -3.0],
            [4, 4, 4],
            r"of two lengths or more. Received: 3 transcripts .*of 1 lengths. Hold out more",
        ),
        ([-1.0, np.inf, -3.0], [1, 2, 3], r"`log_scores` must be finite. Received: \[1\] are not"),
        ([-1.0, -2.0, -3.0], [1, 2, 3], r"Received: scores that all lie on one line"),
        ([-1.0, -2.0, -3.0], [1, 2], r"one number for each transcript. Received: shapes \(3,\) and \(2,\)"),
    ],
)
def test_scores_that_nothing_can_be_fitted_to(scores, lengths, message):
    with pytest.raises(ValueError, match=message):
        LengthNormalizedScore.fit(np.array(scores), np.array(lengths))


@pytest.mark.parametrize("wrong", [{"mu": np.nan}, {"beta": "0"}, {"sigma": 0.0}])
def test_values_out_of_range(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        LengthNormalizedScore(**{"mu": 0.0, "beta": 0.0, "sigma": 1.0, **wrong})
