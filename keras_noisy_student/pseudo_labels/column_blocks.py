"""`ColumnBlocks`: the columns of a store, read a shard at a time, as often as wanted."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.shard import COLUMN_SPEC, COLUMNS

_MAX_RECORDS_AT_ONCE = 65_536


class ColumnBlocks:
    """Fingerprints, scores and predicted classes of a pool, in its order; every iteration reads the files again.

    Selection passes over them several times, and they are never in memory together: 100 million rows are 1.6 GB.

    Args:
        paths: of the columns files of all shards.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Structured arrays `(rows,)` of dtype `COLUMNS`, one for each shard."""
        shards = tf.data.Dataset.from_tensor_slices(self._paths).flat_map(_records_at_once).map(_decode)
        for shard in shards.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            block = np.empty(len(shard["score"]), COLUMNS)
            for name, values in shard.items():
                block[name] = values
            yield block


def _records_at_once(path: tf.Tensor) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(path).batch(_MAX_RECORDS_AT_ONCE)


def _decode(records: tf.Tensor) -> dict[str, tf.Tensor]:
    """Decodes all records in one step: one by one, small batches would take 100 times as long."""
    fields = tf.io.parse_example(records, {name: tf.io.FixedLenFeature([], tf.string) for name in COLUMN_SPEC})
    return {name: tf.io.decode_raw(tf.strings.reduce_join(fields[name]), COLUMNS[name].name) for name in COLUMN_SPEC}
