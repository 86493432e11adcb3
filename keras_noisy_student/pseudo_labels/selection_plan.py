"""`SelectionPlan`: what follows from the summary of a pool, before its rows are judged one by one."""

import dataclasses

import numpy as np

from keras_noisy_student.pseudo_labels.balance import balance
from keras_noisy_student.pseudo_labels.cutoffs import Cutoffs, is_taken
from keras_noisy_student.pseudo_labels.labeling import Labeling
from keras_noisy_student.pseudo_labels.pool_summary import PoolSummary
from keras_noisy_student.pseudo_labels.ranking import Ranking
from keras_noisy_student.pseudo_labels.rows import Rows
from keras_noisy_student.pseudo_labels.selection import Selection


@dataclasses.dataclass(frozen=True)
class SelectionPlan:
    """How often the rows of each class are used, and by which ranking some are used once more.

    Args:
        threshold: the score that a row must be above.
        summary: of the pool.
        copies: see `Balance`.
        num_extra: see `Balance`.
        ranking: of the rows that are above the threshold.
    """

    threshold: float
    summary: PoolSummary
    copies: np.ndarray
    num_extra: np.ndarray
    ranking: Ranking

    @classmethod
    def of(cls, summary: PoolSummary, labeling: Labeling, *, seed: int) -> "SelectionPlan":
        """Arguments and errors are those of `select`."""
        _check_keeps_some(summary, labeling)
        copies, num_extra = balance(summary.kept_counts, labeling.examples_per_class)
        return cls(labeling.threshold, summary, copies, num_extra, Ranking(copies > 0, summary, seed=seed))

    def ranked(self, rows: Rows) -> Rows:
        """The confident rows of the classes in which some, and not all, are used once more."""
        return rows.where((rows.scores > self.threshold) & (self.num_extra > 0)[rows.class_ids])

    def repeats(self, rows: Rows, cutoffs: Cutoffs) -> np.ndarray:
        """How often each of some consecutive rows is used, int32 `(rows,)`."""
        repeats = np.where(rows.scores > self.threshold, self.copies[rows.class_ids], 0).astype(np.int32)
        ranked = self.ranked(rows)
        if len(ranked):
            repeats[ranked.numbers - rows.numbers[0]] += is_taken(ranked, cutoffs, self.ranking)
        return repeats

    def selection(self, repeats: np.ndarray) -> Selection:
        """The selection, from the repeats of all rows."""
        return Selection(
            repeats=repeats,
            class_counts=self.summary.class_counts,
            selected_class_counts=self.summary.kept_counts * self.copies + self.num_extra,
            mean_confidence=self.summary.mean_score,
            num_refused=self.summary.num_refused,
        )


def _check_keeps_some(summary: PoolSummary, labeling: Labeling) -> None:
    if summary.num_refused == summary.num_rows:
        raise ValueError(
            f"No pseudo-label can be kept: all {summary.num_rows} are {labeling.refused}. Change that limit, or "
            "train a better teacher."
        )
    if not summary.kept_counts.any():
        raise ValueError(
            f"No pseudo-label is more confident than {labeling.threshold_name}={labeling.threshold}. The highest "
            f"confidence among {summary.num_rows} annotated examples is {summary.highest_score:.4f}: lower the "
            "threshold below it, or train a better teacher."
        )
