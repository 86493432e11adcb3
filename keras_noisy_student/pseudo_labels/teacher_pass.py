"""`TeacherPass`: the un-noised teacher over batches of the pool, on every replica another one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.tasks.task import Annotation
from keras_noisy_student.workers import worker_of

Annotated = tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]
"""Columns, whose score is NaN where an output was not finite, and encoded targets: tensors `(batch, ...)` by name."""


class TeacherPass:
    """Annotates whole batches, in one graph.

    Batches are not split over the replicas, so that what is written does not depend on their number.

    Args:
        teacher: what annotates.
        element_spec: of one example.

    Attributes:
        num_batches: how many batches one call takes: one for each replica of this worker.
    """

    def __init__(self, teacher: Teacher, element_spec: Any) -> None:
        self._strategy = tf.distribute.get_strategy()
        self._teacher = teacher
        self.num_batches: int = self._strategy.num_replicas_in_sync // worker_of(self._strategy).num_workers
        batch_spec = tf.nest.map_structure(lambda spec: tf.TensorSpec([None, *spec.shape], spec.dtype), element_spec)
        self._in_graph = tf.function(self._on_replicas).get_concrete_function([batch_spec] * self.num_batches)

    def __call__(self, batches: Sequence[Any]) -> list[Annotated]:
        """Annotates up to `num_batches` batches; a replica that has none repeats the last one."""
        repeated = [batches[-1]] * (self.num_batches - len(batches))
        return list(self._in_graph([*batches, *repeated]))[: len(batches)]

    def _on_replicas(self, batches: Sequence[Any]) -> Sequence[Annotated]:
        own = self._strategy.experimental_distribute_values_from_function(
            lambda context: batches[context.replica_id_in_sync_group % self.num_batches]
        )
        annotated: Sequence[Annotated] = self._strategy.experimental_local_results(
            self._strategy.run(self._annotate, args=(own,))
        )
        return annotated

    def _annotate(self, x: Any) -> Annotated:
        annotation = self._teacher.annotate(x)
        columns = {"fingerprint": fingerprint(x), "score": _score(annotation), "class_id": annotation.class_id}
        return columns, self._teacher.task.encode(annotation.pseudo_label)


def _score(annotation: Annotation) -> tf.Tensor:
    """NaN where a probability is not finite: the largest of some numbers need not be NaN when one of them is."""
    if not annotation.pseudo_label.dtype.is_floating:
        return annotation.score
    is_finite = tf.reduce_all(tf.math.is_finite(annotation.pseudo_label), axis=-1)
    return tf.where(is_finite, annotation.score, np.nan)
