"""`PoolSummary`: what selection has to know of all rows before it can judge one; summaries of parts merge."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class PoolSummary:
    """Counts and extremes of some rows of the pool.

    Args:
        class_counts: rows of each predicted class, int64 `(num_classes,)`.
        kept_counts: those whose score is above the threshold.
        num_refused: rows whose score is minus infinity: the task takes none of them.
        sum_of_scores: of all others.
        highest_score: of all rows.
        lowest_kept_score: of the rows whose score is above the threshold.
    """

    class_counts: np.ndarray
    kept_counts: np.ndarray
    num_refused: int
    sum_of_scores: float
    highest_score: float
    lowest_kept_score: float

    @property
    def num_rows(self) -> int:
        """All rows."""
        return int(self.class_counts.sum())

    @property
    def mean_score(self) -> float:
        """Of all rows that are not refused; 0 if all are."""
        return self.sum_of_scores / max(1, self.num_rows - self.num_refused)


def summarize(block: np.ndarray, *, threshold: float, num_classes: int) -> PoolSummary:
    """The summary of a block of columns.

    Raises:
        ValueError: for a class id that is not in [0, `num_classes`).
    """
    scores, class_ids = np.ascontiguousarray(block["score"]), np.ascontiguousarray(block["class_id"])
    _check_class_ids(class_ids, num_classes)
    kept, is_refused = scores > threshold, scores == -np.inf
    return PoolSummary(
        class_counts=np.bincount(class_ids, minlength=num_classes),
        kept_counts=np.bincount(class_ids[kept], minlength=num_classes),
        num_refused=int(is_refused.sum()),
        sum_of_scores=float(scores.sum(dtype=np.float64, where=~is_refused)),
        highest_score=float(scores.max(initial=-np.inf)),
        lowest_kept_score=float(scores[kept].min(initial=np.inf)),
    )


def merge(first: PoolSummary, second: PoolSummary) -> PoolSummary:
    """The summary of the rows of both."""
    return PoolSummary(
        class_counts=first.class_counts + second.class_counts,
        kept_counts=first.kept_counts + second.kept_counts,
        num_refused=first.num_refused + second.num_refused,
        sum_of_scores=first.sum_of_scores + second.sum_of_scores,
        highest_score=max(first.highest_score, second.highest_score),
        lowest_kept_score=min(first.lowest_kept_score, second.lowest_kept_score),
    )


def _check_class_ids(class_ids: np.ndarray, num_classes: int) -> None:
    lowest, highest = class_ids.min(initial=0), class_ids.max(initial=0)
    if lowest < 0 or highest >= num_classes:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"The class ids that `Task.annotate` returns must be in [0, num_classes). Received: class_id={wrong}, "
            f"num_classes={num_classes}."
        )
