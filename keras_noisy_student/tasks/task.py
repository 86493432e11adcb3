"""`Task`: what a target is. The trainer, the student and the teacher pass ask it, and know nothing else of labels."""

import abc
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Annotation(NamedTuple):
    """What a teacher says of a batch of examples."""

    probabilities: tf.Tensor
    """float32 `(batch, num_classes)`."""
    score: tf.Tensor
    """float32 `(batch,)`: the confidence that selection filters by."""
    class_id: tf.Tensor
    """int32 `(batch,)`: the class that selection balances by."""


class Task(abc.ABC):
    """What the library asks of a task. Subclass it for targets of another kind.

    Only `soft_targets` and `judge` may be left out.

    Attributes:
        num_classes: number of classes that selection balances.
    """

    num_classes: int

    @abc.abstractmethod
    def check_labels(self, labels: np.ndarray) -> None:
        """Raises a `ValueError` when labels `(examples,)` are not of the kind or the range expected."""

    @abc.abstractmethod
    def check_coverage(self, labels: np.ndarray) -> None:
        """Raises a `ValueError` when the labels of the training set do not cover what there is to learn."""

    @abc.abstractmethod
    def check_outputs(self, outputs: Any) -> None:
        """Raises a `ValueError` when a network's outputs for a batch are not what this task expects."""

    @abc.abstractmethod
    def check_teacher(self, labels: np.ndarray, class_ids: np.ndarray) -> None:
        """Raises a `ValueError` when the classes predicted for labelled examples are no better than chance."""

    @abc.abstractmethod
    def loss(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of each example, float32 `(batch,)`."""

    def soft_targets(self, targets: tf.Tensor) -> tf.Tensor:
        """Targets as distributions, float32 `(batch, num_classes)`: what `Noise(mixing=...)` mixes.

        A task may leave it out, and cannot be trained with mixing then. With it, `loss` must be linear in distributions
        and `agreement` take them too.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define `soft_targets`.")

    @abc.abstractmethod
    def agreement(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """How far each output agrees with its target, float32 `(batch,)` in [0, 1]: the accuracy when averaged."""

    @abc.abstractmethod
    def annotate(self, outputs: tf.Tensor) -> Annotation:
        """A teacher's outputs as pseudo-labels with a score and a class."""

    def judge(self, probabilities: tf.Tensor) -> Annotation:
        """Probabilities float32 `(batch, num_classes)` with a score and a class, where no single output gave them.

        So are those of averaged teachers and corrected pseudo-labels. The score is the largest of them, by default.
        """
        return Annotation(
            probabilities=probabilities,
            score=tf.reduce_max(probabilities, axis=-1),
            class_id=tf.argmax(probabilities, axis=-1, output_type=tf.int32),
        )

    @abc.abstractmethod
    def serve(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """A network's outputs as a served model returns them, tensors `(batch, ...)` by name."""

    @abc.abstractmethod
    def metrics(self) -> list[Any]:
        """The metrics that are compiled when the user names none."""


def check_soft_targets(task: Task) -> None:
    """Raises a `ValueError` when a task leaves out `soft_targets`."""
    if type(task).soft_targets is Task.soft_targets:
        raise ValueError(
            "`mixing` needs a task whose targets can be written as distributions. Received: a "
            f"{type(task).__name__} without `soft_targets`. Define `soft_targets(targets)`, which returns float32 "
            "(batch, num_classes), or pass mixing=None."
        )
