"""Annotate: the un-noised teacher labels the whole pool, in order, into the store."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels import targets
from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.pseudo_labels.shard import COLUMNS, Block
from keras_noisy_student.pseudo_labels.store import PseudoLabels, StoreWriter
from keras_noisy_student.tasks.task import Task

AnnotateBatch: TypeAlias = Callable[[Any], tuple[np.ndarray, Block]]


def annotate(
    teacher: keras.Model, pool: tf.data.Dataset, task: Task, *, store: StoreWriter, verbose: bool
) -> PseudoLabels:
    """Runs the teacher over what the store lacks of the clean pool, and stores what it says.

    Args:
        teacher: the network; called with `training=False`.
        pool: batches of unlabelled examples, in a deterministic order; each is a block of the store.
        task: turns the teacher's outputs into probabilities, a score and a class.
        store: where the labels go; a finished one is taken as it is.
        verbose: whether to show the progress bar.

    Raises:
        ValueError: when the teacher's outputs are not finite.
    """
    if store.is_finished():
        return store.finish()
    annotate_batch = _annotate_in_graph(teacher, pool.element_spec, task)
    progress = keras.utils.Progbar(_num_batches(pool), verbose=int(verbose), unit_name="batch")
    num_batches, num_rows = store.first_missing_block(), store.rows_before_first_missing_block()
    for x in pool.skip(num_batches).prefetch(tf.data.AUTOTUNE):
        if store.is_missing(num_batches):
            columns, encoded = annotate_batch(x)
            _check_finite(columns, first_row=num_rows)
            store.write(num_batches, columns, encoded)
        num_batches += 1
        num_rows += len(tf.nest.flatten(x)[0])
        progress.update(num_batches)
    if progress.target is None:
        progress.update(num_batches, finalize=True)
    return store.finish()


def _annotate_in_graph(teacher: keras.Model, element_spec: Any, task: Task) -> AnnotateBatch:
    """A function from a batch to columns, whose score is NaN where an output was not finite, and encoded targets."""

    def annotate_tensors(x: Any) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        annotation = task.annotate(teacher(x, training=False))
        is_finite = tf.reduce_all(tf.math.is_finite(annotation.probabilities), axis=-1)
        score = tf.where(is_finite, annotation.score, np.nan)
        columns = {"fingerprint": fingerprint(x), "score": score, "class_id": annotation.class_id}
        return columns, targets.encode(annotation.probabilities)

    in_graph = tf.function(annotate_tensors).get_concrete_function(element_spec)

    def annotate_batch(x: Any) -> tuple[np.ndarray, Block]:
        columns, encoded = tf.nest.map_structure(lambda tensor: tensor.numpy(), in_graph(x))
        block = np.empty(len(columns["score"]), COLUMNS)
        for name, values in columns.items():
            block[name] = values
        return block, encoded

    return annotate_batch


def _check_finite(columns: np.ndarray, *, first_row: int) -> None:
    wrong = np.flatnonzero(~np.isfinite(columns["score"]))
    if len(wrong):
        raise ValueError(
            f"The teacher's outputs must be finite. Received: NaN or infinity for {len(wrong)} examples of the "
            f"unlabelled pool, the first at row {first_row + wrong[0]}. Look for NaN in that example, or for a teacher "
            "that diverged. Replace the example in its place: a pool of another size makes another run."
        )


def _num_batches(pool: tf.data.Dataset) -> int | None:
    cardinality = int(pool.cardinality())
    return cardinality if cardinality >= 0 else None
