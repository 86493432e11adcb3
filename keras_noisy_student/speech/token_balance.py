"""Balance of transcripts: how often each is used, so that their tokens are distributed as those of labelled data."""

from typing import NamedTuple

import numpy as np

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-6
_LOWEST_SHARE = 1e-12
_LOWEST_LOG_WEIGHT = -50.0
_ROUNDING = 1e-9


class TokenBalance(NamedTuple):
    """How often transcripts are to be used on average.

    Args:
        weights: of each transcript, float64 `(transcripts,)`, from 0 to the largest number of repeats.
        divergence: of the distribution of their weighted tokens from the one wanted, in nats.
        divergence_before: the same where each transcript is used once.
    """

    weights: np.ndarray
    divergence: float
    divergence_before: float


def balance_tokens(tokens: np.ndarray, lengths: np.ndarray, wanted: np.ndarray, *, max_repeats: int) -> TokenBalance:
    """Weights transcripts so that their tokens follow a distribution, by iterative scaling.

    The weight of a transcript is the exponential of the mean, over its tokens, of a number for each token: of all
    weights that fit the distribution, those nearest to equal ones, in relative entropy with each transcript counted by
    its tokens. What is above `max_repeats` is cut, and the others take its share. The mean weight is 1. Tokens that are
    not wanted at all, because no labelled transcript has them, are neither sought nor avoided; those that no transcript
    has cannot be had.

    Args:
        tokens: of all transcripts, one after the other, integers `(all tokens,)`.
        lengths: the number of tokens of each transcript, `(transcripts,)`, at least 1.
        wanted: how often each token occurs in the labelled transcripts, `(tokens,)`.
        max_repeats: the largest weight, at least 1.

    Example:
        >>> balance = balance_tokens(np.array([0, 0, 0, 1]), np.ones(4, int), np.array([1, 1]), max_repeats=2)
        >>> balance.weights.round(3)
        array([0.667, 0.667, 0.667, 2.   ])

    Reference:
        Darroch and Ratcliff 1972 (iterative scaling). Park et al. 2020, arXiv 2005.09629, balance the tokens of the
        transcripts with a cap on repeats.
    """
    utterance = np.repeat(np.arange(len(lengths)), lengths)

    def shares(weights: np.ndarray) -> np.ndarray:
        """The distribution of the weighted tokens, over those that are wanted."""
        return _distribution(np.bincount(tokens, weights[utterance], minlength=len(wanted)) * is_sought)

    is_sought = (wanted > 0) & (np.bincount(tokens, minlength=len(wanted)) > 0)
    weights = np.ones(len(lengths))
    if not is_sought.any():
        return TokenBalance(weights, 0.0, 0.0)
    target = _distribution(wanted * is_sought)
    log_weight_of_token = np.zeros(len(wanted))
    before = divergence = _divergence(target, shares(weights))
    for _ in range(_MAX_ITERATIONS):
        found = np.maximum(shares(weights), _LOWEST_SHARE)
        log_weight_of_token[is_sought] += np.log(target[is_sought] / found[is_sought])
        means = np.bincount(utterance, log_weight_of_token[tokens], minlength=len(lengths)) / lengths
        candidate = _capped(means, max_repeats)
        improved = divergence - _divergence(target, shares(candidate))
        if improved <= 0:
            break
        weights, divergence = candidate, divergence - improved
        if improved < _TOLERANCE * before:
            break
    return TokenBalance(weights, divergence, before)


def _distribution(counts: np.ndarray) -> np.ndarray:
    shares: np.ndarray = counts / counts.sum()
    return shares


def _divergence(target: np.ndarray, found: np.ndarray) -> float:
    """The relative entropy of what is wanted from what there is."""
    is_wanted = target > 0
    ratio = target[is_wanted] / np.maximum(found[is_wanted], _LOWEST_SHARE)
    return float(np.sum(target[is_wanted] * np.log(ratio)))


def _capped(log_weights: np.ndarray, largest: int) -> np.ndarray:
    """The weights, all scaled by one number, so that their mean is 1 when those above the largest are cut to it."""
    relative = np.exp(np.maximum(log_weights - log_weights.max(), _LOWEST_LOG_WEIGHT))
    ascending = np.sort(relative)
    # With the last k weights cut, the others share what is left; the smallest k at which they all stay below the cap.
    num_cut = np.arange(len(relative))
    sum_of_others = np.cumsum(ascending)[::-1]
    scale = (len(relative) - largest * num_cut) / sum_of_others
    first = np.flatnonzero(scale * ascending[::-1] <= largest * (1 + _ROUNDING))[0]
    weights: np.ndarray = np.minimum(scale[first] * relative, largest)
    return weights
