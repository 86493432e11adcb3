"""`Selection`: which rows of the pool a student trains on, and how often."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from keras_noisy_student.pseudo_labels.rows import numbered


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which rows of the pool a student trains on.

    Args:
        repeats: how often each row of the pool is used in one pass, int32 `(rows,)`: 0 drops it, above 1 duplicates it.
            Cannot be written to, since the counts would no longer be true: see `with_repeats`.
        class_counts: rows of each predicted class before selection, int64 `(num_classes,)`.
        selected_class_counts: copies of each class after selection, int64 `(num_classes,)`.
        mean_confidence: of all rows that are not refused.
        num_refused: rows that are dropped whatever the threshold: transcripts that are too short or too long.
    """

    repeats: np.ndarray
    class_counts: np.ndarray
    selected_class_counts: np.ndarray
    mean_confidence: float
    num_refused: int = 0

    def __post_init__(self) -> None:
        repeats = self.repeats.view()
        repeats.flags.writeable = False
        object.__setattr__(self, "repeats", repeats)

    @property
    def num_annotated(self) -> int:
        """Rows in the pool."""
        return len(self.repeats)

    @property
    def num_kept(self) -> int:
        """Different rows that are used."""
        return int(np.count_nonzero(self.repeats))

    @property
    def num_selected(self) -> int:
        """Rows in one pass over the selection, copies included."""
        return int(self.repeats.sum(dtype=np.int64))

    def with_repeats(self, repeats: np.ndarray, columns: Iterable[np.ndarray]) -> "Selection":
        """Another selection from the same pool.

        Args:
            repeats: how often each row is used, integers `(rows,)`.
            columns: of the pool, in blocks: structured arrays with the field `class_id`.

        Raises:
            ValueError: when `repeats` are no integers of at least 0, one for each row.

        Example:
            >>> pool = np.array([(0,), (1,)], [("class_id", np.int32)])
            >>> counts = np.array([1, 1])
            >>> selection = Selection(np.int32([1, 1]), counts, counts, mean_confidence=0.85)
            >>> selection.with_repeats(np.array([0, 3]), [pool]).selected_class_counts
            array([0, 3])
        """
        _check_repeats(repeats, num_rows=self.num_annotated)
        selected = np.zeros_like(self.class_counts)
        for rows in numbered(columns):
            weights = repeats[rows.numbers]
            selected += np.bincount(rows.class_ids, weights, minlength=len(selected)).astype(selected.dtype)
        return dataclasses.replace(self, repeats=repeats.astype(np.int32), selected_class_counts=selected)


def _check_repeats(repeats: np.ndarray, *, num_rows: int) -> None:
    if repeats.shape != (num_rows,) or repeats.dtype.kind not in "iu" or repeats.min(initial=0) < 0:
        raise ValueError(
            f"`repeats` must be integers of at least 0, one for each of {num_rows} annotated examples. Received: "
            f"{repeats.dtype} of shape {repeats.shape}, the lowest {repeats.min(initial=0)}."
        )
