"""`ScoreHistogram`: how sure the teacher is of the pool, and what selection makes of it."""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.pseudo_labels.rows import numbered


@dataclasses.dataclass(frozen=True)
class ScoreHistogram:
    """Examples of the pool by their score.

    Args:
        edges: of the bins, rising, float64 `(num_bins + 1,)`; a bin holds its lower edge, the last one both.
        kept: examples of each bin that are used, int64 `(num_bins,)`.
        dropped: those that are not; refused ones, of a score of minus infinity, are in no bin.
    """

    edges: np.ndarray
    kept: np.ndarray
    dropped: np.ndarray


def score_histogram(columns: Iterable[np.ndarray], repeats: np.ndarray, *, num_bins: int = 20) -> ScoreHistogram:
    """Counts the scores of a pool in two passes, in the memory of a block.

    Args:
        columns: of the pool, in blocks: structured arrays with the field `score`. Iterated over twice.
        repeats: how often each row is used, `(rows,)`.
        num_bins: of equal width: from 0 to 1 where all scores are in it, as confidences are, or over their range.

    Example:
        >>> pool = np.array([(0.2,), (0.7,), (1.0,)], [("score", np.float32)])
        >>> histogram = score_histogram([pool], np.array([0, 1, 1]), num_bins=2)
        >>> histogram.dropped.tolist(), histogram.kept.tolist()
        ([1, 0], [0, 2])
    """
    check_count("num_bins", num_bins)
    edges = np.linspace(*_limits(columns), num_bins + 1)
    counts = np.zeros((2, num_bins), np.int64)
    for rows in numbered(columns):
        is_used = repeats[rows.numbers] > 0
        for place, mask in enumerate((is_used, ~is_used)):
            scores = rows.scores[mask & np.isfinite(rows.scores)]
            counts[place] += np.histogram(scores.astype(np.float64), edges)[0]
    return ScoreHistogram(edges, kept=counts[0], dropped=counts[1])


def _limits(columns: Iterable[np.ndarray]) -> tuple[float, float]:
    low, high = math.inf, -math.inf
    for rows in numbered(columns):
        finite = rows.scores[np.isfinite(rows.scores)]
        low, high = min(low, float(finite.min(initial=np.inf))), max(high, float(finite.max(initial=-np.inf)))
    if low > high or (low >= 0 and high <= 1):
        return 0.0, 1.0
    return (low, high) if low < high else (low - 0.5, high + 0.5)
