"""Rows of the store as annotations, as the teacher made them or seen through a correction, which is computed anew."""

import abc
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.shard import COLUMNS
from keras_noisy_student.tasks.task import Annotation, Task

_ROWS_AT_ONCE = 65_536


Row = Mapping[str, tf.Tensor]
"""Rows of the store: tensors `(rows, width)` by name."""


def stored_annotation(row: Row, task: Task) -> Annotation:
    """What the teacher said."""
    score, class_id = (tf.squeeze(row[name], axis=-1) for name in ("score", "class_id"))
    return Annotation(task.decode(row), score, class_id)


class RowCorrection(abc.ABC):
    """Corrects annotations, and rows of the store.

    Attributes:
        task: whose pseudo-labels they are.
    """

    task: Task

    def __call__(self, row: Row) -> Annotation:
        """What is made of rows of the store."""
        return self.corrected(stored_annotation(row, self.task))

    @abc.abstractmethod
    def corrected(self, annotation: Annotation) -> Annotation:
        """What is made of an annotation."""

    @abc.abstractmethod
    def description(self) -> dict[str, Any]:
        """What tells it from another one, as JSON."""


@dataclasses.dataclass(frozen=True)
class ProbabilityCorrection(RowCorrection):
    """Corrects probabilities.

    Args:
        probability_map: what is done to them.
        task: judges them.
    """

    probability_map: ProbabilityMap
    task: Task

    def corrected(self, annotation: Annotation) -> Annotation:
        """The annotation of the corrected probabilities."""
        return self.task.judge(self.probability_map(annotation.pseudo_label))

    def description(self) -> dict[str, Any]:
        """The map."""
        return dataclasses.asdict(self.probability_map)


class CorrectedColumns:
    """The columns of a store with corrected scores and classes; every iteration computes them from the targets again.

    Like `ColumnBlocks`, they are never in memory together.

    Args:
        rows: of the store, block by block: see `PseudoLabels.rows`.
        correction: of the rows.
    """

    def __init__(self, rows: tf.data.Dataset, correction: RowCorrection) -> None:
        def corrected(row: Row) -> dict[str, tf.Tensor]:
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
