"""Annotate: the un-noised teacher labels the whole pool, in order, into the store."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels import targets
from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.pseudo_labels.store import COLUMNS, PseudoLabels, ShardWriter
from keras_noisy_student.tasks.task import Task


def annotate(teacher: keras.Model, pool: tf.data.Dataset, task: Task, *, directory: str, verbose: bool) -> PseudoLabels:
    """Runs the teacher over the clean pool and stores what it says.

    Args:
        teacher: the network; called with `training=False`.
        pool: batches of unlabelled examples, in a deterministic order.
        task: turns the teacher's outputs into probabilities, a score and a class.
        directory: where the shards go.
        verbose: whether to show the progress bar.

    Raises:
        ValueError: when the teacher's outputs are not finite.
    """
    writer = ShardWriter(directory)
    progress = keras.utils.Progbar(_num_batches(pool), verbose=int(verbose), unit_name="batch")
    num_rows = 0

    def annotate_batch(x: Any) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        annotation = task.annotate(teacher(x, training=False))
        is_finite = tf.reduce_all(tf.math.is_finite(annotation.probabilities), axis=-1)
        score = tf.where(is_finite, annotation.score, np.nan)
        columns = {"fingerprint": fingerprint(x), "score": score, "class_id": annotation.class_id}
        return columns, targets.encode(annotation.probabilities)

    annotate_in_graph = tf.function(annotate_batch).get_concrete_function(pool.element_spec)
    for index, x in enumerate(pool.prefetch(tf.data.AUTOTUNE)):
        columns, encoded = tf.nest.map_structure(lambda tensor: tensor.numpy(), annotate_in_graph(x))
        block = np.empty(len(columns["score"]), COLUMNS)
        for name, values in columns.items():
            block[name] = values
        _check_finite(block, first_row=num_rows)
        writer.write(block, encoded)
        num_rows += len(block)
        progress.update(index + 1)
    if progress.target is None:
        progress.update(index + 1, finalize=True)
    return writer.finish()


def _check_finite(block: np.ndarray, *, first_row: int) -> None:
    wrong = np.flatnonzero(~np.isfinite(block["score"]))
    if len(wrong):
        raise ValueError(
            f"The teacher's outputs must be finite. Received: NaN or infinity for {len(wrong)} examples of the "
            f"unlabelled pool, the first at row {first_row + wrong[0]}. Look for NaN in that example, or for a teacher "
            "that diverged."
        )


def _num_batches(pool: tf.data.Dataset) -> int | None:
    cardinality = int(pool.cardinality())
    return cardinality if cardinality >= 0 else None
