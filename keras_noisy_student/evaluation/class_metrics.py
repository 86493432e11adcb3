"""Metrics by class: a confusion matrix, and the accuracy, recalls and macro F1 that follow from one."""

import numpy as np

from keras_noisy_student.argument_checks import check_count


def confusion_matrix(labels: np.ndarray, class_ids: np.ndarray, *, num_classes: int) -> np.ndarray:
    """How often each class was taken for each.

    Args:
        labels: class ids `(examples,)` in `[0, num_classes)`.
        class_ids: the predicted ones, `(examples,)`.
        num_classes: of labels and predictions.

    Returns:
        int64 `(num_classes, num_classes)`: a row for each label and a column for each prediction.

    Raises:
        ValueError: for anything but one integer in `[0, num_classes)` each for one example or more.

    Example:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), num_classes=2)
        array([[1, 1],
               [0, 1]])
    """
    check_count("num_classes", num_classes)
    labels = _checked_class_ids("labels", labels, num_classes=num_classes)
    class_ids = _checked_class_ids("class_ids", class_ids, num_classes=num_classes)
    if len(labels) != len(class_ids):
        raise ValueError(
            f"`class_ids` must be one per label. Received: {len(class_ids)} class ids for {len(labels)} labels."
        )
    cells: np.ndarray = np.bincount(labels * num_classes + class_ids, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def accuracy(confusion: np.ndarray) -> float:
    """The share of right predictions of a `confusion_matrix`, in [0, 1].

    Example:
        >>> accuracy(np.array([[1, 1], [0, 2]]))
        0.75
    """
    return float(np.trace(confusion) / confusion.sum())


def recalls(confusion: np.ndarray) -> np.ndarray:
    """The share of the examples of each class that were found, float64 `(num_classes,)`; NaN for one without examples.

    Example:
        >>> recalls(np.array([[1, 1, 0], [0, 2, 0], [0, 0, 0]]))
        array([0.5, 1. , nan])
    """
    examples = confusion.sum(axis=1)
    shares: np.ndarray = np.divide(np.diag(confusion), examples, out=np.full(len(examples), np.nan), where=examples > 0)
    return shares


def macro_f1(confusion: np.ndarray) -> float:
    """The mean of the F1 scores of all classes that occur, in [0, 1].

    A class that is neither label nor prediction has no F1 score and is left out, as in scikit-learn's `f1_score`. The
    score of a class is `2 TP / (2 TP + FP + FN)`, the harmonic mean of its precision and its recall.

    Example:
        >>> macro_f1(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]]))
        0.6666666666666666
    """
    # 2 TP + FP + FN: every example of the class and every prediction of it.
    labels_and_predictions = confusion.sum(axis=0) + confusion.sum(axis=1)
    occurs = labels_and_predictions > 0
    return float(np.mean(2 * np.diag(confusion)[occurs] / labels_and_predictions[occurs]))


def _checked_class_ids(name: str, values: np.ndarray, *, num_classes: int) -> np.ndarray:
    class_ids: np.ndarray = np.asarray(values)
    if class_ids.ndim != 1 or not len(class_ids) or not np.issubdtype(class_ids.dtype, np.integer):
        raise ValueError(
            f"`{name}` must be integer class ids of shape (examples,), one or more. Received: shape "
            f"{class_ids.shape}, dtype {class_ids.dtype}. One-hot labels and probabilities become ids by "
            "`array.argmax(-1)`, a column by `array[:, 0]`."
        )
    wrong = class_ids[(class_ids < 0) | (class_ids >= num_classes)]
    if len(wrong):
        raise ValueError(
            f"`{name}` must be in [0, {num_classes}), the ids of {num_classes} classes. Received: "
            f"{np.unique(wrong)[:10].tolist()} in {len(wrong)} of {len(class_ids)} examples."
        )
    return class_ids.astype(np.int64)
