"""Which examples of the pool the galleries show."""

import numpy as np


def gallery_rows(
    scores: np.ndarray, class_ids: np.ndarray, is_kept: np.ndarray, audit_labels: np.ndarray | None, *, num: int
) -> dict[str, np.ndarray]:
    """The rows of each gallery by its title; one without a row is left out.

    Args:
        scores: of some rows, `(rows,)`.
        class_ids: their pseudo-labels, `(rows,)`.
        is_kept: whether they are used, bool `(rows,)`.
        audit_labels: their true classes, `(rows,)`, where they are known.
        num: the most rows of a gallery.

    Example:
        >>> scores, class_ids, is_kept = np.array([0.9, 0.2, 0.6]), np.array([1, 1, 0]), np.array([True, False, True])
        >>> gallery_rows(scores, class_ids, is_kept, audit_labels=None, num=2)["Kept"]
        array([2, 0])
    """
    by_score = np.argsort(scores, kind="stable")
    galleries = {
        "Kept": _in_turn(np.flatnonzero(is_kept), class_ids),
        "Dropped": _in_turn(np.flatnonzero(~is_kept), class_ids),
        "Least certain": by_score[np.isfinite(scores[by_score])],
    }
    if audit_labels is not None:
        is_wrong = class_ids != audit_labels
        galleries["Most confident mistakes"] = by_score[::-1][is_wrong[by_score[::-1]]]
    return {title: rows[:num] for title, rows in galleries.items() if len(rows)}


def _in_turn(rows: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """The first row of each class, then the second of each, and so on."""
    classes = class_ids[rows]
    by_class = np.argsort(classes, kind="stable")
    first_of_class = np.searchsorted(classes[by_class], classes[by_class], side="left")
    turn = np.empty(len(rows), np.int64)
    turn[by_class] = np.arange(len(rows)) - first_of_class
    return rows[np.lexsort((classes, turn))]
