"""`Task`: what a target is. The trainer, the student and the teacher pass ask it, and know nothing else of labels."""

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_noisy_student.tasks.stored_probabilities import decode, encode


class Annotation(NamedTuple):
    """What a teacher says of a batch of examples."""

    pseudo_label: tf.Tensor
    """All of it, `(batch, ...)`: of a `Classification`, probabilities float32 `(batch, num_classes)`."""
    score: tf.Tensor
    """float32 `(batch,)`: the confidence that selection filters by; NaN where an output was not finite."""
    class_id: tf.Tensor
    """int32 `(batch,)`: the class that selection balances by."""


class Task(abc.ABC):
    """What the library asks of a task. Subclass it for targets of another kind.

    What is not abstract suits tasks with a class id for each example, whose pseudo-labels are probabilities.

    Attributes:
        num_classes: number of classes that selection balances.
    """

    num_classes: int

    def check_label_spec(self, spec: Any, *, name: str) -> None:
        """Raises a `ValueError` when the labels of the data called `name` are no tensors of the shape expected.

        `spec` is the `tf.TensorSpec` of one label. By default a label is a scalar.
        """
        if not isinstance(spec, tf.TensorSpec) or spec.shape.rank != 0:
            raise ValueError(
                f"The labels of `{name}` must be one class id per example, of shape (). Received: {spec}. If the data "
                "set is batched, call `.unbatch()` on it; if labels are one-hot, take `tf.argmax(y, axis=-1)`; if they "
                "have a last dimension of 1, drop it with `y[..., 0]`."
            )

    @abc.abstractmethod
    def check_labels(self, labels: np.ndarray) -> None:
        """Raises a `ValueError` when labels `(examples, ...)` are not of the kind or the range expected."""

    @abc.abstractmethod
    def check_coverage(self, labels: np.ndarray) -> None:
        """Raises a `ValueError` when the labels of the training set do not cover what there is to learn."""

    @abc.abstractmethod
    def check_outputs(self, outputs: Any) -> None:
        """Raises a `ValueError` when a network's outputs for a batch are not what this task expects."""

    def check_examples(self, labels: np.ndarray, outputs: Any, *, first: int) -> None:
        """Raises a `ValueError` when outputs cannot be brought to the labels of their examples, by default never.

        Where it is defined, it is called before training for all labelled examples, batch by batch; `first` is the row
        of the first one.
        """
        del labels, outputs, first

    @abc.abstractmethod
    def check_teacher(self, labels: np.ndarray, answers: np.ndarray) -> None:
        """Raises a `ValueError` when a network's `answers` for labelled examples are no better than chance."""

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

    def answers(self, outputs: tf.Tensor) -> tf.Tensor:
        """The labels that a network would give, `(batch, ...)`; by default class ids."""
        return self.annotate(outputs).class_id

    def encode(self, pseudo_label: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the store keeps of pseudo-labels, tensors `(batch, width)` by name; by default probabilities."""
        return encode(pseudo_label)

    def decode(self, stored: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The pseudo-labels of what `encode` returned."""
        return decode(stored, self.num_classes)

    def judge(self, probabilities: tf.Tensor) -> Annotation:
        """Probabilities float32 `(batch, num_classes)` with a score and a class, where no single output gave them.

        So are those of averaged teachers and corrected pseudo-labels. The score is the largest of them, by default.
        """
        return Annotation(
            pseudo_label=probabilities,
            score=tf.reduce_max(probabilities, axis=-1),
            class_id=tf.argmax(probabilities, axis=-1, output_type=tf.int32),
        )

    @abc.abstractmethod
    def serve(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """A network's outputs as a served model returns them, tensors `(batch, ...)` by name."""

    def served_names(self) -> dict[str, list[str]]:
        """What served ids stand for, strings by name, for formats that return numbers only; by default none."""
        return {}

    def predictions(self, outputs: tf.Tensor) -> np.ndarray:
        """What `predict` returns, `(examples, ...)`: by default the `probabilities` that are served."""
        return np.asarray(self.serve(outputs)["probabilities"])

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
