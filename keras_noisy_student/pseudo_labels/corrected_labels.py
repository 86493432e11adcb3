"""Pseudo-labels seen through a correction: the store keeps what the teacher said, and this is computed from it."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.shard import COLUMNS
from keras_noisy_student.pseudo_labels.targets import decode
from keras_noisy_student.tasks.task import Annotation, Task

_ROWS_AT_ONCE = 65_536


@dataclasses.dataclass(frozen=True)
class RowCorrection:
    """Corrects rows of the store.

    Args:
        probability_map: what is done to the probabilities.
        task: judges them.
    """

    probability_map: ProbabilityMap
    task: Task

    def __call__(self, row: Mapping[str, tf.Tensor]) -> Annotation:
        """The corrected annotation of rows of the store, tensors `(rows, width)` by name."""
        return self.task.judge(self.probability_map(decode(row, self.task.num_classes)))


class CorrectedColumns:
    """The columns of a store with corrected scores and classes; every iteration computes them from the targets again.

    Like `ColumnBlocks`, they are never in memory together.

    Args:
        rows: of the store, block by block: see `PseudoLabels.rows`.
        correction: of the rows.
    """

    def __init__(self, rows: tf.data.Dataset, correction: RowCorrection) -> None:
        def corrected(row: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            annotation = correction(row)
            fingerprint = tf.squeeze(row["fingerprint"], axis=-1)
            return {"fingerprint": fingerprint, "score": annotation.score, "class_id": annotation.class_id}

        self._blocks = rows.map(corrected, num_parallel_calls=tf.data.AUTOTUNE).rebatch(_ROWS_AT_ONCE)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Structured arrays `(rows,)` of dtype `COLUMNS`."""
        for columns in self._blocks.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            block = np.empty(len(columns["score"]), COLUMNS)
            for name, values in columns.items():
                block[name] = values
            yield block
