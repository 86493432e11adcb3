"""`ArraySource`: examples held in memory, sampled by index."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.sources.source import IsWanted, PoolBlock, Source, check_keeps_some

_ENDLESS = np.iinfo(np.int64).max


class ArraySource(Source):
    """Examples held in memory, sampled by index.

    Args:
        arrays: nested arrays that agree in their first dimension.
        rows: which examples one pass visits, int64; all by default. One that stands there twice is visited twice.
    """

    def __init__(self, arrays: Any, rows: np.ndarray | None = None) -> None:
        # Where tf.data reads them; a GPU's memory is for the network.
        with tf.device("CPU"):
            self._arrays = tf.nest.map_structure(tf.convert_to_tensor, arrays)
            every_row = np.arange(tf.nest.flatten(self._arrays)[0].shape[0])
            self._rows = tf.constant(every_row if rows is None else rows, tf.int64)
        self.element_spec = _element_spec(self._arrays)
        self.num_rows: int = int(self._rows.shape[0])

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """All examples once, in order."""
        return tf.data.Dataset.range(self.num_rows).batch(batch_size).map(self._examples)

    def blocks(self, batch_size: int, *, parts: Sequence[int], is_wanted: IsWanted) -> tf.data.Dataset:
        """Reads what is wanted alone."""
        num_blocks = -(-self.num_rows // batch_size)
        part = tf.constant(0, tf.int64)

        def block_at(number: tf.Tensor) -> PoolBlock:
            first, last = (tf.minimum((number + more) * batch_size, self.num_rows) for more in (0, 1))
            places = tf.range(first, last)
            return PoolBlock(part, number, tf.gather(self._rows, places), self._examples(places))

        numbers = tf.data.Dataset.range(num_blocks + 1)
        wanted = numbers.filter(lambda number: (number == num_blocks) | is_wanted(part, number))
        return wanted.map(block_at, num_parallel_calls=tf.data.AUTOTUNE)

    def shuffled_batches(self, batch_size: int, *, key: int, first_batch: int = 0) -> tf.data.Dataset:
        """Each pass is a permutation that takes no memory (`index_shuffle`)."""
        num_rows = tf.constant(self.num_rows, tf.int64)

        def examples_at(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Any]:
            places = shuffled_places(positions % num_rows, seeds.fold(key, positions // num_rows), num_rows)
            return positions, tf.gather(self._rows, places), self._examples(places)

        positions = tf.data.Dataset.range(first_batch * batch_size, _ENDLESS).batch(batch_size, drop_remainder=True)
        return positions.map(examples_at, num_parallel_calls=tf.data.AUTOTUNE)

    def selected(self, repeats: np.ndarray, columns: tf.data.Dataset, *, part_rows: Sequence[int]) -> "ArraySource":
        """Reads into memory, beside the arrays, those `columns` whose examples are used."""
        check_keeps_some(repeats)
        self._check_num_rows(repeats)
        return _SelectedArrays(
            self._arrays,
            rows=np.repeat(self._rows.numpy(), repeats),
            columns=_used_columns(columns, repeats > 0),
            column_rows=np.repeat(np.cumsum(repeats > 0) - 1, repeats),
        )

    def _kept(self, is_kept: np.ndarray, part_rows: Sequence[int]) -> "ArraySource":
        """Copies no array."""
        self._check_num_rows(is_kept)
        return ArraySource(self._arrays, rows=self._rows.numpy()[is_kept])

    def _check_num_rows(self, repeats: np.ndarray) -> None:
        if len(repeats) != self.num_rows:
            raise ValueError(
                f"The unlabelled pool has changed since it was annotated: it had {len(repeats)} examples, received "
                f"{self.num_rows}. Use the pool that was annotated, or another `directory`."
            )

    def _examples(self, places: tf.Tensor) -> Any:
        """Those at some places of a pass in order."""
        rows = tf.gather(self._rows, places)
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), self._arrays)


class _SelectedArrays(ArraySource):
    """Examples of arrays, each paired with a row of columns.

    Args:
        arrays: as above.
        rows: as above.
        columns: arrays that agree in their first dimension, by name.
        column_rows: which row of them belongs to each entry of `rows`, int64.
    """

    def __init__(self, arrays: Any, *, rows: np.ndarray, columns: Any, column_rows: np.ndarray) -> None:
        super().__init__(arrays, rows)
        with tf.device("CPU"):
            self._columns = tf.nest.map_structure(tf.convert_to_tensor, columns)
            self._column_rows = tf.constant(column_rows, tf.int64)
        self.element_spec = (self.element_spec, _element_spec(self._columns))

    def _examples(self, places: tf.Tensor) -> Any:
        rows = tf.gather(self._column_rows, places)
        return super()._examples(places), tf.nest.map_structure(lambda array: tf.gather(array, rows), self._columns)


def _used_columns(columns: tf.data.Dataset, is_used: np.ndarray) -> Any:
    """Read block by block: those of dropped rows are never in memory together."""
    blocks, first = [], 0
    for block in columns.as_numpy_iterator():
        num_rows = len(tf.nest.flatten(block)[0])
        is_used_here = is_used[first : first + num_rows]
        blocks.append(tf.nest.map_structure(lambda array, used=is_used_here: array[used], block))
        first += num_rows
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *blocks)


def _element_spec(arrays: Any) -> Any:
    return tf.nest.map_structure(lambda array: tf.TensorSpec(array.shape[1:], array.dtype), arrays)


def shuffled_places(offsets: tf.Tensor, pass_keys: tf.Tensor, num_rows: tf.Tensor | int) -> tf.Tensor:
    """The place of each offset in the permutation of `range(num_rows)` that its key stands for.

    The op behind `tf.random.experimental.index_shuffle`, whose wrapper pads a batch of seeds to a shape the op refuses,
    and mixes in 4 rounds: too few for small arrays, of which 0.6% of the passes kept their order. 8 leave no trace.
    """
    seed = tf.pad(tf.bitcast(pass_keys, tf.int32), [[0, 0], [0, 1]])
    return tf.raw_ops.RandomIndexShuffle(index=offsets, seed=seed, max_index=num_rows - 1, rounds=8)
