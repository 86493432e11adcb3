"""Online annotation: the teacher labels the clean examples inside the training step, and nothing is stored."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_noisy_student.pseudo_labels.corrected_labels import RowCorrection
from keras_noisy_student.pseudo_labels.labeling import Labeling
from keras_noisy_student.pseudo_labels.teacher import Teacher


class OnlineTeacher:
    """Turns clean examples into targets and weights.

    Args:
        teacher: what annotates.
        labeling: soft or hard, temperature, threshold.
        correction: returns that of its annotations, which may be fitted later than this is made; none by default.
    """

    def __init__(
        self,
        teacher: Teacher,
        labeling: Labeling,
        *,
        correction: Callable[[], RowCorrection] | None = None,
    ) -> None:
        self._teacher = teacher
        self._labeling = labeling
        self._correction = correction

    def __call__(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the targets of a batch, and a weight of 0 for those that are not confident enough, else 1."""
        annotation = self._teacher.annotate(x)
        if self._correction is not None:
            annotation = self._correction().corrected(annotation)
        weight = tf.cast(annotation.score > self._labeling.threshold, tf.float32)
        return self._labeling.target(annotation), weight
