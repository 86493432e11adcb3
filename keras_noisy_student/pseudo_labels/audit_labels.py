"""Audit labels: true labels of the pool, of those who have them. They judge pseudo-labels, and do nothing else."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_noisy_student.pseudo_labels.rows import numbered
from keras_noisy_student.tasks.task import Task
from keras_noisy_student.tasks.transcription import Transcription


def checked_audit_labels(audit_labels: Any, task: Task, *, num_rows: int | None) -> np.ndarray:
    """Audit labels as an integer array `(examples,)`.

    Args:
        audit_labels: what the user gave.
        task: what a label is.
        num_rows: examples in the pool, where that is known before it is read.

    Raises:
        ValueError: when they are no class ids of the task, or not one for each example of the pool.
    """
    if isinstance(task, Transcription):
        raise ValueError(
            "`audit_labels` are class ids, and the pseudo-labels of a `Transcription` are transcripts. Leave them out, "
            "and measure the teacher on transcribed utterances by `trainer.evaluate`. Received: a Transcription."
        )
    labels = np.asarray(audit_labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            "`audit_labels` must be a one-dimensional array of integer class ids, in the order of the unlabelled pool. "
            f"Received: {type(audit_labels).__name__} of shape {labels.shape} and dtype {labels.dtype}. Cast them, for "
            'instance with `y.astype("int32")`; if they are one-hot, take `y.argmax(axis=-1)`.'
        )
    wrong = labels[(labels < 0) | (labels >= task.num_classes)]
    if len(wrong):
        raise ValueError(
            f"`audit_labels` must be in [0, {task.num_classes}) for num_classes={task.num_classes}. Received: "
            f"{np.unique(wrong)[:10].tolist()} in {len(wrong)} of {len(labels)} labels. Correct them, or leave "
            "`audit_labels` out."
        )
    if num_rows is not None:
        check_audit_length(labels, num_rows)
    return labels


def check_audit_length(audit_labels: np.ndarray, num_rows: int) -> None:
    """Raises a `ValueError` when there is not one label for each of `num_rows` examples of the pool."""
    if len(audit_labels) != num_rows:
        raise ValueError(
            f"`audit_labels` must be one for each example of the unlabelled pool, {num_rows}, in its order. Received: "
            f"{len(audit_labels)} labels. Pass those of the pool that is given as `unlabeled`: of several pools one "
            "after the other, of a function the shards in their order."
        )


def audit_figures(columns: Iterable[np.ndarray], repeats: np.ndarray, audit_labels: np.ndarray) -> dict[str, float]:
    """The share of pseudo-labels that are right: `pseudo_label_accuracy` of all, and `kept_pseudo_label_accuracy`.

    Args:
        columns: of the annotated pool, in blocks: structured arrays with the field `class_id`.
        repeats: how often each row is used, `(rows,)`; those kept count once, however often.
        audit_labels: the true class of each row, `(rows,)`.

    Raises:
        ValueError: when these are not as many as the rows.

    Example:
        >>> pool = np.array([(0,), (1,), (1,)], [("class_id", np.int32)])
        >>> audit_figures([pool], np.array([2, 0, 1]), np.array([0, 0, 1]))["kept_pseudo_label_accuracy"]
        1.0
    """
    check_audit_length(audit_labels, len(repeats))
    num_right, num_kept_right = 0, 0
    for rows in numbered(columns):
        is_right = rows.class_ids == audit_labels[rows.numbers]
        num_right += int(is_right.sum())
        num_kept_right += int((is_right & (repeats[rows.numbers] > 0)).sum())
    return {
        "pseudo_label_accuracy": num_right / len(repeats),
        "kept_pseudo_label_accuracy": num_kept_right / max(1, int(np.count_nonzero(repeats))),
    }
