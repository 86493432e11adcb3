"""Online annotation: the teacher labels the clean examples inside the training step, and nothing is stored."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.targets import annotated_targets
from keras_noisy_student.pseudo_labels.teacher import Teacher


class OnlineTeacher:
    """Turns clean examples into targets and weights.

    Args:
        teacher: what annotates.
        pseudo_labeling: soft or hard, temperature, confidence threshold.
        correction: returns that of its probabilities, which may be fitted later than this is made; none by default.
    """

    def __init__(
        self,
        teacher: Teacher,
        pseudo_labeling: PseudoLabeling,
        *,
        correction: Callable[[], ProbabilityMap] | None = None,
    ) -> None:
        self._teacher = teacher
        self._pseudo_labeling = pseudo_labeling
        self._correction = correction

    def __call__(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the targets of a batch, and a weight of 0 for those that are not confident enough, else 1."""
        annotation = self._teacher.annotate(x)
        if self._correction is not None:
            annotation = self._teacher.task.judge(self._correction()(annotation.probabilities))
        weight = tf.cast(annotation.score > self._pseudo_labeling.confidence_threshold, tf.float32)
        return annotated_targets(annotation, self._pseudo_labeling), weight
