"""`StreamSource`: examples read from a `tf.data.Dataset`, in order or through a shuffle buffer."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.sources.source import IsWanted, PoolBlock, Source, check_keeps_some

_ENDLESS = np.iinfo(np.int64).max
_SHUFFLE_BUFFER_BYTES = 512 << 20
_MAX_SHUFFLE_BUFFER = 65_536


class StreamSource(Source):
    """Examples read from a `tf.data.Dataset`, shuffled through a buffer of at most 512 MiB.

    Args:
        numbered: a finite data set of `(row, example)` in a deterministic order, where the row, int64, is the place of
            the example in the data that the user gave.
        num_rows: how many there are, where that is known: a stream then begins late without reading what it skips.
    """

    def __init__(self, numbered: tf.data.Dataset, *, num_rows: int | None = None) -> None:
        self._numbered = numbered
        self.num_rows = num_rows
        self.element_spec = numbered.element_spec[1]
        self._num_sharing = 1

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """All examples once, in order."""
        return self._numbered.batch(batch_size).map(lambda rows, examples: examples)

    def blocks(self, batch_size: int, *, parts: Sequence[int], is_wanted: IsWanted) -> tf.data.Dataset:
        """Reads through what is not wanted."""
        return blocks_of_part(self._numbered, batch_size, part=0, is_wanted=is_wanted)

    def shuffled_batches(self, batch_size: int, *, key: int, first_batch: int = 0) -> tf.data.Dataset:
        """Each pass reads the whole data set through a shuffle buffer with a seed of its own."""
        buffer = shuffle_buffer(self.element_spec, num_sharing=self._num_sharing)
        first = first_batch * batch_size
        passes_before = first // self.num_rows if self.num_rows else 0
        position = passes_before * (self.num_rows or 0)

        def one_pass(index: tf.Tensor) -> tf.data.Dataset:
            # `shuffle` mixes the global seed into its own: with one set, the order would depend on it.
            tf.compat.v1.get_default_graph().seed = None
            return self._numbered.shuffle(buffer, seed=seeds.fold(key, index), reshuffle_each_iteration=False)

        def placed(batch_index: tf.Tensor, batch: tuple[tf.Tensor, Any]) -> tuple[tf.Tensor, tf.Tensor, Any]:
            return batch_index * batch_size + tf.range(batch_size, dtype=tf.int64), *batch

        passes = tf.data.Dataset.range(passes_before, _ENDLESS).flat_map(one_pass)
        batches = passes.skip(first - position).batch(batch_size, drop_remainder=True)
        return batches.enumerate(start=first_batch).map(placed)

    def sharing_buffer(self, num_sharing: int) -> "StreamSource":
        """The same examples, with the share of the shuffle buffer that is left where so many streams are mixed."""
        source = copy.copy(self)
        source._num_sharing = num_sharing
        return source

    def selected(self, repeats: np.ndarray, columns: tf.data.Dataset, *, part_rows: Sequence[int]) -> "StreamSource":
        """Drops, pairs and repeats row by row; the shuffle buffer then spreads the copies apart."""
        check_keeps_some(repeats)
        paired = tf.data.Dataset.zip(_of_length(self._numbered, len(repeats)), columns.unbatch())
        return StreamSource(_repeated(paired, repeats).map(_beside_columns), num_rows=int(repeats.sum(dtype=np.int64)))

    def _kept(self, is_kept: np.ndarray, part_rows: Sequence[int]) -> "StreamSource":
        """Reads through what is dropped."""
        return StreamSource(kept_examples(self._numbered, is_kept), num_rows=int(is_kept.sum()))


def blocks_of_part(numbered: tf.data.Dataset, batch_size: int, *, part: int, is_wanted: IsWanted) -> tf.data.Dataset:
    """The wanted blocks of a data set of `(row, example)`, and the empty one that ends it."""
    batches = numbered.batch(batch_size)
    end = tf.nest.map_structure(lambda spec: tf.zeros([0, *spec.shape[1:]], spec.dtype), batches.element_spec)
    part_of_all = tf.constant(part, tf.int64)
    blocks = batches.concatenate(tf.data.Dataset.from_tensors(end)).enumerate()
    wanted = blocks.filter(lambda number, batch: (tf.size(batch[0]) == 0) | is_wanted(part_of_all, number))
    return wanted.map(lambda number, batch: PoolBlock(part_of_all, number, *batch))


def kept_examples(numbered: tf.data.Dataset, is_kept: np.ndarray) -> tf.data.Dataset:
    """The kept ones of a data set, which fails where it has another length."""
    marked = tf.data.Dataset.zip(_of_length(numbered, len(is_kept)), tf.data.Dataset.from_tensor_slices(is_kept))
    kept = marked.filter(lambda example, is_kept: is_kept)
    return kept.map(lambda example, is_kept: example)


def _repeated(rows: tf.data.Dataset, repeats: np.ndarray) -> tf.data.Dataset:
    """Each row as often as `repeats` says; what does nothing for them is left out, as it would cost 50 us a row."""
    if repeats.min() == repeats.max() == 1:
        return rows
    counted = tf.data.Dataset.zip(rows, tf.data.Dataset.from_tensor_slices(repeats))
    kept = counted.filter(lambda row, count: count > 0)
    if repeats.max() == 1:
        return kept.map(lambda row, count: row)
    return kept.flat_map(lambda row, count: tf.data.Dataset.from_tensors(row).repeat(tf.cast(count, tf.int64)))


def _beside_columns(numbered: tuple[tf.Tensor, Any], columns: Any) -> tuple[tf.Tensor, tuple[Any, Any]]:
    row, example = numbered
    return row, (example, columns)


def shuffle_buffer(element_spec: Any, *, num_sharing: int = 1) -> int:
    """How many examples fit the shuffle buffer: 512 MiB of them, divided among those that share it; at most 65,536."""
    example_bytes: int = sum(
        (spec.shape.num_elements() or 1) * spec.dtype.size for spec in tf.nest.flatten(element_spec)
    )
    return max(1, min(_MAX_SHUFFLE_BUFFER, _SHUFFLE_BUFFER_BYTES // num_sharing // example_bytes))


def _of_length(dataset: tf.data.Dataset, length: int) -> tf.data.Dataset:
    return dataset.apply(tf.data.experimental.assert_cardinality(length))
