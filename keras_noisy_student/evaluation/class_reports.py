"""`ClassReport`: what a classifier does with each class, of all examples and of each group of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_noisy_student.evaluation.class_metrics import accuracy, confusion_matrix, macro_f1, recalls

_MOST_CLASSES_WITH_NUMBERS = 30


@dataclasses.dataclass(frozen=True, eq=False)
class ClassReport:
    """What a classifier does with each class.

    `str` of it is a table.

    Args:
        class_names: by class id.
        confusion: how often each class was taken for each, integers `(num_classes, num_classes)`, a row for each label
            and a column for each prediction. Cannot be written to.
        by_group: the same of the examples of each group, by its name.

    Raises:
        ValueError: when names and matrix do not fit, or the matrix counts no example.

    Example:
        >>> report = ClassReport(("calm", "glad"), np.array([[3, 1], [0, 4]]))
        >>> report.accuracy, report.recalls
        (0.875, {'calm': 0.75, 'glad': 1.0})
    """

    class_names: Sequence[str]
    confusion: np.ndarray
    by_group: Mapping[str, "ClassReport"] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        names = _checked_class_names(self.class_names)
        confusion = _checked_confusion(self.confusion, num_classes=len(names))
        reports = self.by_group.values() if isinstance(self.by_group, Mapping) else [None]
        if not all(isinstance(report, ClassReport) and report.class_names == names for report in reports):
            raise ValueError(
                "`by_group` must map the names of groups to a `ClassReport` of the same classes each. Received: "
                f"by_group={self.by_group!r}."
            )
        object.__setattr__(self, "class_names", names)
        object.__setattr__(self, "confusion", confusion)

    @property
    def num_examples(self) -> int:
        """How many were classified."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share of right predictions, in [0, 1]."""
        return accuracy(self.confusion)

    @property
    def macro_f1(self) -> float:
        """The mean F1 score of the classes that are the label or the prediction of an example, in [0, 1]."""
        return macro_f1(self.confusion)

    @property
    def recalls(self) -> dict[str, float]:
        """The share of the examples of each class that were found, in [0, 1], by its name.

        A class without examples has no recall and is left out.
        """
        by_class = zip(self.class_names, recalls(self.confusion).tolist(), strict=True)
        return {name: recall for name, recall in by_class if not np.isnan(recall)}

    def to_dict(self) -> dict[str, Any]:
        """All of it as what JSON can hold."""
        return {
            "num_examples": self.num_examples,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "recalls": self.recalls,
            "class_names": list(self.class_names),
            "confusion": self.confusion.tolist(),
            "by_group": {group: report.to_dict() for group, report in self.by_group.items()},
        }

    def __str__(self) -> str:
        summary = f"{self.num_examples:,} examples, accuracy {self.accuracy:.3f}, macro F1 {self.macro_f1:.3f}"
        examples = self.confusion.sum(axis=1)
        classes = [
            [name, f"{count:,}", f"{self.recalls[name]:.3f}" if count else "-"]
            for name, count in zip(self.class_names, examples, strict=True)
        ]
        tables = [_table(["class", "examples", "recall"], classes)]
        if self.by_group:
            groups = [
                [group, f"{report.num_examples:,}", f"{report.accuracy:.3f}", f"{report.macro_f1:.3f}"]
                for group, report in self.by_group.items()
            ]
            tables.append(_table(["group", "examples", "accuracy", "macro F1"], groups))
        return "\n\n".join([summary, *tables])

    def plot(self) -> Any:
        """Draws the confusion matrix: numbers of examples, and in colour their share of the row. Needs matplotlib.

        Returns:
            The `matplotlib.axes.Axes`; `axes.figure` is the figure. More than 30 classes are drawn without numbers and
            names.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("`plot` needs matplotlib: pip install matplotlib. `to_dict` needs nothing.") from error
        num_classes = len(self.class_names)
        side = 3 + min(num_classes, _MOST_CLASSES_WITH_NUMBERS) / 2
        _, axes = pyplot.subplots(figsize=(side + 1, side), layout="constrained")
        shares = self.confusion / np.maximum(self.confusion.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.figure.colorbar(image, label="share of the examples of the class")
        axes.set(
            xlabel="predicted", ylabel="label", title=f"accuracy {self.accuracy:.3f}, macro F1 {self.macro_f1:.3f}"
        )
        if num_classes <= _MOST_CLASSES_WITH_NUMBERS:
            axes.set_xticks(range(num_classes), self.class_names, rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(num_classes), self.class_names)
            for (row, column), count in np.ndenumerate(self.confusion):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
        return axes


def class_report(
    labels: Any, predictions: Any, *, class_names: Sequence[str], groups: Sequence[Any] | None = None
) -> ClassReport:
    """Compares predictions with labels, class by class.

    `keras.metrics.F1Score(average="macro")` measures in training, batch by batch, on one-hot labels. It counts a class
    that is neither label nor prediction as 0; here it is left out, as scikit-learn does.

    Args:
        labels: integer class ids `(examples,)`.
        predictions: what `predict` returns, numbers `(examples, num_classes)` of which the largest one decides, or
            integer class ids `(examples,)`.
        class_names: by class id, such as those of a folder of clips, also of classes without examples.
        groups: of which group each example is, such as its subject: strings, integers or booleans `(examples,)`. With
            it there is a report for each.

    Raises:
        ValueError: for other shapes, numbers or ids.

    Example:
        >>> probabilities = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]
        >>> subjects = ["ann", "bob", "bob"]
        >>> print(class_report([0, 0, 1], probabilities, class_names=["calm", "glad"], groups=subjects))
        3 examples, accuracy 0.667, macro F1 0.667
        <BLANKLINE>
        class  examples  recall
        calm          2   0.500
        glad          1   1.000
        <BLANKLINE>
        group  examples  accuracy  macro F1
        ann           1     1.000     1.000
        bob           2     0.500     0.333

    Reference:
        Sokolova and Lapalme 2009, https://doi.org/10.1016/j.ipm.2009.03.002
    """
    names = _checked_class_names(class_names)
    labels, class_ids = np.asarray(labels), _class_ids(predictions, num_classes=len(names))
    confusion = confusion_matrix(labels, class_ids, num_classes=len(names))
    if groups is None:
        return ClassReport(names, confusion)
    group_names = _checked_groups(groups, num_examples=len(labels))
    by_group = {}
    for group in np.unique(group_names):
        is_member = group_names == group
        by_group[str(group)] = class_report(labels[is_member], class_ids[is_member], class_names=names)
    return ClassReport(names, confusion, by_group)


def _class_ids(predictions: Any, *, num_classes: int) -> np.ndarray:
    outputs = np.asarray(predictions)
    if outputs.ndim == 1 and np.issubdtype(outputs.dtype, np.integer):
        return outputs
    if outputs.ndim != 2 or outputs.shape[1] != num_classes or not np.can_cast(outputs.dtype, np.float64, "same_kind"):
        raise ValueError(
            f"`predictions` must be numbers of shape (examples, {num_classes}) for {num_classes} class names, or "
            f"integer class ids of shape (examples,). Received: shape {outputs.shape}, dtype {outputs.dtype}."
        )
    if np.isnan(outputs).any():
        raise ValueError(
            "`predictions` must be numbers, of which the largest decides. Received: NaN. Look for weights or inputs "
            "that are not finite."
        )
    class_ids: np.ndarray = outputs.argmax(axis=-1)
    return class_ids


def _checked_class_names(class_names: Any) -> tuple[str, ...]:
    names = tuple(class_names) if isinstance(class_names, Sequence | np.ndarray) else ()
    are_strings = not isinstance(class_names, str) and all(isinstance(name, str) for name in names)
    if not names or not are_strings or len(set(names)) < len(names):
        raise ValueError(
            f"`class_names` must be different strings, one for each class id. Received: class_names={class_names!r}."
        )
    return tuple(str(name) for name in names)


def _checked_confusion(counts: Any, *, num_classes: int) -> np.ndarray:
    confusion: np.ndarray = np.array(counts)
    is_of_counts = np.issubdtype(confusion.dtype, np.integer) and confusion.min(initial=0) >= 0
    if confusion.shape != (num_classes, num_classes) or not is_of_counts or not confusion.any():
        raise ValueError(
            f"`confusion` must count examples of {num_classes} classes: integers of shape ({num_classes}, "
            f"{num_classes}), none below 0 and not all 0. Received: {confusion.dtype} of shape {confusion.shape}."
        )
    confusion.flags.writeable = False
    return confusion


def _checked_groups(groups: Any, *, num_examples: int) -> np.ndarray:
    names: np.ndarray = np.asarray(groups)
    if names.dtype == object and all(isinstance(name, str) for name in names.flat):
        names = names.astype(str)
    if names.shape != (num_examples,) or names.dtype.kind not in "Uiub":
        raise ValueError(
            f"`groups` must be strings, integers or booleans, one for each of {num_examples} examples. Received: shape "
            f"{names.shape}, dtype {names.dtype}."
        )
    return names


def _table(header: list[str], rows: list[list[str]]) -> str:
    """Text in columns: names to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in [header, *rows])
    ]
    return "\n".join(lines)
