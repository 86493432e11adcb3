"""`Classification`: one class per example, be it an image, a clip or a sequence of features."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import FROM_0_BELOW_1, check_count
from keras_noisy_student.tasks.task import Annotation, Task

_SUM_TOLERANCE = 1e-2
_TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class Classification(Task):
    """One of `num_classes` classes per example.

    Labels are integer class ids of shape `()`, outputs `(batch, num_classes)`.

    Args:
        num_classes: number of classes, at least 2.
        from_logits: whether the network returns logits; by default it returns probabilities (ends in a softmax).
        label_smoothing: in [0, 1), spread evenly over the classes. Touches labelled examples and hard pseudo-labels
            only: soft pseudo-labels are not smoothed.
        class_names: what the classes are called where people read them, one name for each class id; the served model
            returns them too.

    Raises:
        ValueError: for a value out of range, and for names that are not `num_classes` different strings.

    Example:
        >>> task = Classification(num_classes=3)
        >>> task.loss(tf.constant([0]), tf.constant([[0.5, 0.25, 0.25]])).numpy().round(4)
        array([0.6931], dtype=float32)
    """

    num_classes: int
    from_logits: bool = False
    label_smoothing: float = 0.0
    class_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes, at_least=2)
        FROM_0_BELOW_1.check("label_smoothing", self.label_smoothing)
        if self.class_names is not None:
            object.__setattr__(self, "class_names", _checked_names(self.class_names, self.num_classes))

    def check_labels(self, labels: np.ndarray) -> None:
        """Labels must be integer ids in `[0, num_classes)`."""
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"Labels must be integer class ids. Received: dtype {labels.dtype}. Cast them, for instance with "
                '`y.astype("int32")`.'
            )
        wrong = labels[(labels < 0) | (labels >= self.num_classes)]
        if len(wrong):
            raise ValueError(
                f"Labels must be in [0, {self.num_classes}) for num_classes={self.num_classes}. Received: "
                f"{np.unique(wrong)[:10].tolist()} in {len(wrong)} of {len(labels)} examples. Correct the labels or "
                "`num_classes`."
            )

    def check_coverage(self, labels: np.ndarray) -> None:
        """Every class must have a labelled example."""
        missing = np.setdiff1d(np.arange(self.num_classes), labels)
        if len(missing):
            raise ValueError(
                "Every class needs a labelled example: a teacher that never saw a class cannot label it. Missing: "
                f"{missing[:20].tolist()}. Add examples of them, or number the classes without gaps and lower "
                f"num_classes={self.num_classes}."
            )

    def check_outputs(self, outputs: Any) -> None:
        """Outputs must be finite `(batch, num_classes)`, and probabilities or logits as declared."""
        if not hasattr(outputs, "shape") or len(outputs.shape) != 2 or outputs.shape[-1] != self.num_classes:
            raise ValueError(
                f"The network must return one tensor of shape (batch, {self.num_classes}) for "
                f"num_classes={self.num_classes}. Received: {_describe(outputs)}. Change its last layer or "
                "`num_classes`."
            )
        values = keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))
        if not np.isfinite(values).all():
            raise ValueError(
                "The network must return finite numbers. Received: NaN or infinity for a batch of labelled examples. "
                "Look for unscaled inputs or a division by zero in the network."
            )
        look_like_probabilities = (values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=_SUM_TOLERANCE)
        if self.from_logits and look_like_probabilities:
            raise ValueError(
                "The network was declared to return logits, but its outputs are probabilities: rows of numbers from 0 "
                "to 1 that sum to 1. Remove the softmax, or use Classification(..., from_logits=False)."
            )
        if not self.from_logits and not look_like_probabilities:
            sums = values.sum(axis=-1)
            raise ValueError(
                "The network was declared to return probabilities, but its rows are not numbers from 0 to 1 that sum "
                f"to 1. Received: a row that sums to {sums[np.abs(sums - 1).argmax()]:.3g}, smallest number "
                f"{values.min():.3g}. End the network in a softmax, or use Classification(..., from_logits=True)."
            )

    def check_teacher(self, labels: np.ndarray, answers: np.ndarray) -> None:
        """The mean recall over the classes must be above `1 / num_classes`, what any constant answer reaches."""
        examples = np.bincount(labels, minlength=self.num_classes)
        hits = np.bincount(labels[labels == answers], minlength=self.num_classes)
        recalls = hits[examples > 0] / examples[examples > 0]
        recall, chance = float(np.mean(recalls)), 1 / len(recalls)
        if recall <= chance:
            counts = np.bincount(answers, minlength=self.num_classes)
            raise ValueError(
                f"The teacher is no better than chance on the labelled examples: mean recall {recall:.3f} over the "
                f"classes, chance {chance:.3f}; {counts.max() / len(labels):.0%} of its answers are class "
                f"{counts.argmax()}. Its pseudo-labels would be noise. Train it longer; check the learning rate, the "
                "labels and the range of the inputs (does the network scale uint8 itself?). In a short run averages "
                "lag behind: set `momentum=0.9` in batch normalization, and a smaller `ema_momentum` if the optimizer "
                "uses EMA."
            )

    def loss(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Cross entropy. Targets are class ids `(batch,)` or distributions `(batch, num_classes)`.

        An id out of range makes the loss NaN. Probabilities are not clipped as Keras clips them (at 1e-7): an example
        that is confidently wrong would have no gradient.
        """
        outputs = tf.cast(outputs, tf.float32)
        logits = outputs if self.from_logits else tf.math.log(tf.maximum(outputs, _TINY))
        return tf.nn.softmax_cross_entropy_with_logits(self.soft_targets(targets), logits)

    def soft_targets(self, targets: tf.Tensor) -> tf.Tensor:
        """Class ids one-hot and smoothed; distributions as they are."""
        if targets.dtype.is_integer:
            return self._smoothed(tf.cast(targets, tf.int32))
        return tf.cast(targets, tf.float32)

    def _smoothed(self, class_ids: tf.Tensor) -> tf.Tensor:
        one_hot = tf.one_hot(class_ids, self.num_classes) * (1 - self.label_smoothing)
        is_class = (class_ids >= 0) & (class_ids < self.num_classes)
        return tf.where(is_class[:, None], one_hot + self.label_smoothing / self.num_classes, np.nan)

    def agreement(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """1 where the most likely class is that of the target, else 0."""
        if not targets.dtype.is_integer:
            targets = tf.argmax(targets, axis=-1)
        return tf.cast(tf.equal(tf.argmax(outputs, axis=-1), tf.cast(targets, tf.int64)), tf.float32)

    def annotate(self, outputs: tf.Tensor) -> Annotation:
        """The probabilities; the score is the largest of them."""
        return self.judge(self._probabilities(outputs))

    def serve(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`probabilities` float32 `(batch, num_classes)`, `class_ids` int32 `(batch,)`; where classes have names, too,
        `class_names`, strings `(batch,)`.
        """
        annotation = self.annotate(outputs)
        served = {"probabilities": annotation.pseudo_label, "class_ids": annotation.class_id}
        if self.class_names is not None:
            served["class_names"] = tf.gather(tf.constant(self.class_names), annotation.class_id)
        return served

    def served_names(self) -> dict[str, list[str]]:
        """`class_names`, that of each class id, where classes have names."""
        return {} if self.class_names is None else {"class_names": list(self.class_names)}

    def metrics(self) -> list[Any]:
        """Accuracy."""
        return ["accuracy"]

    def _probabilities(self, outputs: tf.Tensor) -> tf.Tensor:
        outputs = tf.cast(outputs, tf.float32)
        return tf.nn.softmax(outputs) if self.from_logits else outputs


def _checked_names(class_names: Any, num_classes: int) -> tuple[str, ...]:
    is_sequence = isinstance(class_names, Sequence) or np.ndim(class_names) == 1
    names = tuple(class_names) if is_sequence and not isinstance(class_names, str) else ()
    are_strings = all(isinstance(name, str) for name in names)
    if not are_strings or len(names) != num_classes or len(set(names)) != num_classes:
        raise ValueError(
            f"`class_names` must be {num_classes} different strings, one for each class of num_classes={num_classes}. "
            f"Received: class_names={class_names!r}. Name every class, in the order of the class ids."
        )
    return tuple(map(str, names))


def _describe(outputs: Any) -> str:
    if hasattr(outputs, "shape"):
        return f"shape {tuple(outputs.shape)}"
    return f"{type(outputs).__name__} of {len(outputs)} tensors" if hasattr(outputs, "__len__") else repr(outputs)
