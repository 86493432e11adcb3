"""Calibration: how far a teacher's confidence is from the share of its answers that are right."""

import numpy as np

from keras_noisy_student.argument_checks import check_count


def expected_calibration_error(confidence: np.ndarray, is_correct: np.ndarray, *, num_bins: int = 15) -> float:
    """The mean gap between confidence and accuracy over bins of equal width, each weighted by its examples.

    Args:
        confidence: the largest probability of each example, in [0, 1], `(examples,)`.
        is_correct: whether its class is that of the label, bool `(examples,)`.
        num_bins: bin `m` holds the confidences in `((m - 1) / num_bins, m / num_bins]`.

    Returns:
        A number in [0, 1]; 0 where confidence and accuracy agree in every bin.

    Raises:
        ValueError: for arrays that are empty or of other shapes, or no positive number of bins.

    Example:
        >>> expected_calibration_error(np.array([0.75, 0.75]), np.array([True, False]))
        0.25

    Reference:
        Guo et al. 2017, On calibration of modern neural networks, arXiv 1706.04599, section 2.
    """
    check_count("num_bins", num_bins)
    if confidence.ndim != 1 or confidence.shape != is_correct.shape or not len(confidence):
        raise ValueError(
            "`confidence` and `is_correct` must be of one shape (examples,), with at least one example. Received: "
            f"shapes {confidence.shape} and {is_correct.shape}."
        )
    confidence = confidence.astype(np.float64)
    bins = np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    gaps = np.abs(np.bincount(bins, confidence) - np.bincount(bins, is_correct))
    return float(gaps.sum() / len(confidence))
