"""`Labeling`: what the rules of all kinds of pseudo-labels have in common."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import tensorflow as tf

from keras_noisy_student.pseudo_labels.averaging import TeacherAveraging
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.tasks.task import Annotation, Task

When: TypeAlias = Literal["stored", "kept", "online"]


class Labeling(abc.ABC):
    """How pseudo-labels are made and selected in one round: `PseudoLabeling`, or `TranscriptLabeling` for speech.

    Attributes:
        annotate: when the pool is annotated; see `PseudoLabeling`.
        averaging: over several teachers or views of an example.
        examples_per_class: balances the classes; see `PseudoLabeling`.
        threshold_name: of the setting that `threshold` is, for errors.
        refused: what the rules refuse whatever its score, for errors.
    """

    annotate: When
    averaging: TeacherAveraging
    examples_per_class: int | Literal["auto"] | None
    threshold_name: ClassVar[str]
    refused: ClassVar[str] = "refused"

    @property
    def threshold(self) -> float:
        """The score that a pseudo-label must be above to be kept."""
        return float(getattr(self, self.threshold_name))

    @property
    @abc.abstractmethod
    def fitted(self) -> Sequence[Any]:
        """What is fitted to the teacher of each round before its pseudo-labels are selected; empty if nothing is."""

    @property
    @abc.abstractmethod
    def needs_validation(self) -> Sequence[str]:
        """The names of what is fitted to `validation_data`."""

    @abc.abstractmethod
    def check_task(self, task: Task) -> None:
        """Raises a `ValueError` when a task has pseudo-labels of another kind."""

    @abc.abstractmethod
    def target(self, annotation: Annotation) -> tf.Tensor:
        """What a student is trained on, `(batch, ...)`."""

    def balanced(self, selection: Selection, pseudo_labels: PseudoLabels, *, seed: int) -> Selection:
        """What becomes of a selection in which the classes are balanced, where there is more to balance."""
        del pseudo_labels, seed
        return selection
