"""Calibration: how far a teacher's confidence is from the share of its answers that are right."""

import dataclasses

import numpy as np

from keras_noisy_student.argument_checks import check_count


@dataclasses.dataclass(frozen=True)
class CalibrationBins:
    """Confidence and accuracy over bins of equal width: what a reliability diagram draws.

    Bin `m` of `num_bins` holds the confidences in `((m - 1) / num_bins, m / num_bins]`.

    Args:
        counts: examples in each bin, int64 `(num_bins,)`.
        confidence_sums: sum of their confidences, float64 `(num_bins,)`.
        num_correct: how many of them are right, float64 `(num_bins,)`.
    """

    counts: np.ndarray
    confidence_sums: np.ndarray
    num_correct: np.ndarray

    @property
    def mean_confidence(self) -> np.ndarray:
        """Of each bin; NaN where it is empty."""
        return self._mean(self.confidence_sums)

    @property
    def accuracy(self) -> np.ndarray:
        """Share of each bin that is right; NaN where it is empty."""
        return self._mean(self.num_correct)

    @property
    def expected_calibration_error(self) -> float:
        """The mean gap between confidence and accuracy over the bins, each weighted by its examples."""
        return float(np.abs(self.confidence_sums - self.num_correct).sum() / self.counts.sum())

    def _mean(self, sums: np.ndarray) -> np.ndarray:
        means = np.full(len(sums), np.nan)
        np.divide(sums, self.counts, out=means, where=self.counts > 0)
        return means


def calibration_bins(confidence: np.ndarray, is_correct: np.ndarray, *, num_bins: int = 15) -> CalibrationBins:
    """Counts examples by their confidence.

    Args:
        confidence: the largest probability of each example, in [0, 1], `(examples,)`.
        is_correct: whether its class is that of the label, bool `(examples,)`.
        num_bins: of equal width.

    Raises:
        ValueError: for arrays that are empty or of other shapes, or no positive number of bins.

    Example:
        >>> calibration_bins(np.array([0.75, 0.25, 0.75]), np.array([True, False, False]), num_bins=2).accuracy
        array([0. , 0.5])
    """
    check_count("num_bins", num_bins)
    if confidence.ndim != 1 or confidence.shape != is_correct.shape or not len(confidence):
        raise ValueError(
            "`confidence` and `is_correct` must be of one shape (examples,), with at least one example. Received: "
            f"shapes {confidence.shape} and {is_correct.shape}."
        )
    confidence = confidence.astype(np.float64)
    bins = np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    return CalibrationBins(
        counts=np.bincount(bins, minlength=num_bins),
        confidence_sums=np.bincount(bins, confidence, minlength=num_bins),
        num_correct=np.bincount(bins, is_correct, minlength=num_bins),
    )


def expected_calibration_error(confidence: np.ndarray, is_correct: np.ndarray, *, num_bins: int = 15) -> float:
    """The mean gap between confidence and accuracy over bins of equal width, each weighted by its examples.

    Args:
        confidence: the largest probability of each example, in [0, 1], `(examples,)`.
        is_correct: whether its class is that of the label, bool `(examples,)`.
        num_bins: see `CalibrationBins`.

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
    return calibration_bins(confidence, is_correct, num_bins=num_bins).expected_calibration_error
