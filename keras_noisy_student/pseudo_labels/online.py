"""Online annotation: the teacher labels the clean examples inside the training step, and nothing is stored."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.targets import soft_labels
from keras_noisy_student.tasks.task import Task


class OnlineTeacher:
    """Turns clean examples into targets and weights.

    A plain object, so that a student that holds one does not take the teacher's weights for its own.

    Args:
        network: the teacher; called with `training=False`.
        task: turns its outputs into probabilities, a score and a class.
        pseudo_labeling: soft or hard, temperature, confidence threshold.
    """

    def __init__(self, network: keras.Model, task: Task, pseudo_labeling: PseudoLabeling) -> None:
        self._network = network
        self._task = task
        self._pseudo_labeling = pseudo_labeling

    def __call__(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the targets of a batch, and a weight of 0 for those that are not confident enough, else 1."""
        annotation = self._task.annotate(self._network(x, training=False))
        weight = tf.cast(annotation.score > self._pseudo_labeling.confidence_threshold, tf.float32)
        if self._pseudo_labeling.labels == "hard":
            return annotation.class_id, weight
        return soft_labels(annotation.probabilities, self._pseudo_labeling.temperature), weight
