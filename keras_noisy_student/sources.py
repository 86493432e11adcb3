"""Sources: the examples the user gave, arrays or a `tf.data.Dataset`, behind one interface.

Both yield the examples in order (to annotate, to evaluate) and as an endless stream of shuffled passes (to train),
which is a pure function of a key and the position. Arrays are sampled by index; a data set is read as a stream.
"""

import abc
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.given_data import check_dataset, checked_arrays
from keras_noisy_student.noise import seeds

_ENDLESS = np.iinfo(np.int64).max
_SHUFFLE_BUFFER_BYTES = 512 << 20
_MAX_SHUFFLE_BUFFER = 65_536


class Source(abc.ABC):
    """Examples of one structure, without a batch dimension."""

    element_spec: Any
    """The `tf.TensorSpec` of one example, nested as the example is."""
    num_rows: int | None
    """Number of examples, where it is known without reading them."""

    @abc.abstractmethod
    def batches(self, batch_size: int) -> tf.data.Dataset:
        """All examples once, in order, in batches; the last one may be smaller."""

    @abc.abstractmethod
    def shuffled_batches(self, batch_size: int, *, key: int, first_batch: int = 0) -> tf.data.Dataset:
        """Endless seeded passes, each over all examples, in full batches.

        Args:
            batch_size: examples in a batch.
            key: of the order.
            first_batch: where to begin; the batches are those that come there when beginning at 0.

        Returns:
            Batches of `(positions, rows, examples)`: the place of each example in the stream, and its row in the data
            that the user gave, both int64 `(batch,)`.
        """

    @abc.abstractmethod
    def selected(self, repeats: np.ndarray, columns: tf.data.Dataset) -> "Source":
        """The examples paired with rows of their own, each repeated.

        Args:
            repeats: how often each example is used, int32 `(examples,)`.
            columns: blocks of rows in the order of the examples, tensors `(rows, ...)`.

        Returns:
            A source of `(example, row of columns)`.

        Raises:
            ValueError: when nothing is left.
        """


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
            every_row = np.arange(_num_rows(self._arrays))
            self._rows = tf.constant(every_row if rows is None else rows, tf.int64)
        self.element_spec = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape[1:], a.dtype), self._arrays)
        self.num_rows = int(self._rows.shape[0])

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """All examples once, in order."""
        return tf.data.Dataset.from_tensor_slices(self._rows).batch(batch_size).map(self._examples)

    def shuffled_batches(self, batch_size: int, *, key: int, first_batch: int = 0) -> tf.data.Dataset:
        """Each pass is a permutation that takes no memory (`index_shuffle`)."""
        num_rows = tf.constant(self.num_rows, tf.int64)

        def examples_at(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Any]:
            order = _shuffled(positions % num_rows, seeds.fold(key, positions // num_rows), num_rows)
            rows = tf.gather(self._rows, order)
            return positions, rows, self._examples(rows)

        positions = tf.data.Dataset.range(first_batch * batch_size, _ENDLESS).batch(batch_size, drop_remainder=True)
        return positions.map(examples_at, num_parallel_calls=tf.data.AUTOTUNE)

    def selected(self, repeats: np.ndarray, columns: tf.data.Dataset) -> "ArraySource":
        """Reads `columns` into memory beside the arrays."""
        _check_selects_some(repeats)
        blocks = list(columns)
        rows_of_columns = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *blocks)
        if len(repeats) != _num_rows(self._arrays):
            raise ValueError(
                f"The unlabelled pool has changed since it was annotated: it had {len(repeats)} examples, received "
                f"{_num_rows(self._arrays)}. Use the pool that was annotated, or another `directory`."
            )
        return ArraySource((self._arrays, rows_of_columns), rows=np.repeat(np.arange(len(repeats)), repeats))

    def _examples(self, rows: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), self._arrays)


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

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """All examples once, in order."""
        return self._numbered.batch(batch_size).map(lambda rows, examples: examples)

    def shuffled_batches(self, batch_size: int, *, key: int, first_batch: int = 0) -> tf.data.Dataset:
        """Each pass reads the whole data set through a shuffle buffer with a seed of its own."""
        buffer = shuffle_buffer(self.element_spec)
        first = first_batch * batch_size
        passes_before = first // self.num_rows if self.num_rows else 0
        position = passes_before * (self.num_rows or 0)

        def one_pass(index: tf.Tensor) -> tf.data.Dataset:
            # `shuffle` mixes the global seed into its own: with one set, the order would depend on it.
            tf.compat.v1.get_default_graph().seed = None
            return self._numbered.shuffle(buffer, seed=seeds.fold(key, index), reshuffle_each_iteration=False)

        passes = tf.data.Dataset.range(passes_before, _ENDLESS).flat_map(one_pass)
        placed = passes.enumerate(start=position).map(lambda place, example: (place, *example))
        return placed.skip(first - position).batch(batch_size, drop_remainder=True)

    def selected(self, repeats: np.ndarray, columns: tf.data.Dataset) -> "StreamSource":
        """Drops, pairs and repeats row by row; the shuffle buffer then spreads the copies apart."""
        _check_selects_some(repeats)
        counted = tf.data.Dataset.zip(
            self._numbered.apply(tf.data.experimental.assert_cardinality(len(repeats))),
            columns.unbatch(),
            tf.data.Dataset.from_tensor_slices(repeats.astype(np.int64)),
        )
        copies = counted.filter(lambda example, columns, count: count > 0).flat_map(
            lambda example, columns, count: tf.data.Dataset.from_tensors((example[0], (example[1], columns))).repeat(
                count
            )
        )
        return StreamSource(copies, num_rows=int(repeats.sum(dtype=np.int64)))


def as_source(data: Any, *, name: str) -> Source:
    """Wraps what the user passed as `name`.

    Raises:
        ValueError: when it is neither arrays nor a finite `tf.data.Dataset`, or holds no example.
    """
    if isinstance(data, tf.data.Dataset):
        check_dataset(data, name=name)
        cardinality = int(data.cardinality())
        return StreamSource(data.enumerate(), num_rows=cardinality if cardinality >= 0 else None)
    return ArraySource(checked_arrays(data, name=name))


def shuffle_buffer(element_spec: Any) -> int:
    """How many examples fit the shuffle buffer: 512 MiB of them, at most 65,536."""
    example_bytes: int = sum(
        (spec.shape.num_elements() or 1) * spec.dtype.size for spec in tf.nest.flatten(element_spec)
    )
    return max(1, min(_MAX_SHUFFLE_BUFFER, _SHUFFLE_BUFFER_BYTES // example_bytes))


def _shuffled(offsets: tf.Tensor, pass_keys: tf.Tensor, num_rows: tf.Tensor) -> tf.Tensor:
    """The place of each offset in the permutation of `range(num_rows)` that its key stands for.

    The op behind `tf.random.experimental.index_shuffle`, whose wrapper pads a batch of seeds to a shape the op refuses,
    and mixes in 4 rounds: too few for small arrays, of which 0.6% of the passes kept their order. 8 leave no trace.
    """
    seed = tf.pad(tf.bitcast(pass_keys, tf.int32), [[0, 0], [0, 1]])
    return tf.raw_ops.RandomIndexShuffle(index=offsets, seed=seed, max_index=num_rows - 1, rounds=8)


def _check_selects_some(repeats: np.ndarray) -> None:
    if not repeats.any():
        raise ValueError(
            f"The selection must keep at least one example. Received: 0 of {len(repeats)}. Keep more in `select`."
        )


def _num_rows(arrays: Any) -> int:
    num_rows: int = tf.nest.flatten(arrays)[0].shape[0]
    return num_rows
