"""`Source`: the examples the user gave, behind one interface, whatever holds them.

Examples come in order (to evaluate), in blocks that several workers share (to annotate), and as an endless stream of
shuffled passes (to train), which is a pure function of a key and the position.
"""

import abc
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

IsWanted: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""From the part and the number of a block, int64 scalars, to whether it is read: a graph."""


class PoolBlock(NamedTuple):
    """Consecutive examples of one part of the source: a batch that the teacher annotates."""

    part: Any
    """int64 scalar."""
    number: Any
    """Of the block in its part, from 0: an int64 scalar."""
    rows: Any
    """Where each example stands in the part, int64 `(batch,)`. An empty block ends the part: its number counts them."""
    x: Any
    """Tensors `(batch, ...)`."""


class Source(abc.ABC):
    """Examples of one structure, without a batch dimension."""

    element_spec: Any
    """The `tf.TensorSpec` of one example, nested as the example is."""
    num_rows: int | None
    """Number of examples, where it is known without reading them."""
    num_parts: int = 1
    """Parts that are read independently of each other; their examples follow one another."""
    kept_digest: str | None = None
    """What tells which of the user's examples these are; `None` where they are all of them."""

    @property
    def kind(self) -> str:
        """What holds the examples: another kind shuffles them in another order."""
        return type(self).__name__

    @abc.abstractmethod
    def batches(self, batch_size: int) -> tf.data.Dataset:
        """All examples once, in order, in batches; the last one may be smaller."""

    @abc.abstractmethod
    def blocks(self, batch_size: int, *, parts: Sequence[int], is_wanted: IsWanted) -> tf.data.Dataset:
        """Some batches of some parts, in order, each part followed by an empty block.

        Batches never cross the end of a part, so that it does not matter which other parts are read.

        Args:
            batch_size: examples in a block; the last one of a part may have fewer.
            parts: which are read, at least one.
            is_wanted: which of their blocks.

        Returns:
            A data set of `PoolBlock`.
        """

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
    def selected(self, repeats: np.ndarray, columns: tf.data.Dataset, *, part_rows: Sequence[int]) -> "Source":
        """The examples paired with rows of their own, each repeated.

        Args:
            repeats: how often each example is used, int32 `(examples,)`.
            columns: blocks of rows in the order of the examples, tensors `(rows, ...)`.
            part_rows: how many examples each part has.

        Returns:
            A source of `(example, row of columns)`.

        Raises:
            ValueError: when nothing is left.
        """

    def kept(self, is_kept: np.ndarray, *, part_rows: Sequence[int]) -> "Source":
        """The examples that are kept, each once, in the same order and parts.

        Args:
            is_kept: bool `(examples,)`.
            part_rows: how many examples each part has.

        Raises:
            ValueError: when nothing is left.
        """
        check_keeps_some(is_kept)
        source = self._kept(is_kept, part_rows)
        source.kept_digest = sha256((self.kept_digest or "").encode() + np.packbits(is_kept).tobytes()).hexdigest()
        return source

    @abc.abstractmethod
    def _kept(self, is_kept: np.ndarray, part_rows: Sequence[int]) -> "Source":
        """Does it."""


def check_keeps_some(repeats: np.ndarray) -> None:
    """Raises a `ValueError` when a selection is empty."""
    if not repeats.any():
        raise ValueError(
            f"The selection must keep at least one example. Received: 0 of {len(repeats)}. Keep more in `select`."
        )
