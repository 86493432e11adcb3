"""`ShardedSource`: examples in shards, each a `tf.data.Dataset` of its own that a worker can read alone."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_noisy_student.sources.source import IsWanted
from keras_noisy_student.sources.stream_source import StreamSource, blocks_of_part, kept_examples


class ShardedSource(StreamSource):
    """Examples of several shards: a stream of all, one after the other, for training; parts of their own to annotate.

    Args:
        numbered: the stream: see `StreamSource`.
        parts: a finite data set of `(row, example)` for each shard, where the row is the place in the shard.
        num_rows: how many examples there are, where that is known.
    """

    def __init__(
        self, numbered: tf.data.Dataset, parts: Sequence[tf.data.Dataset], *, num_rows: int | None = None
    ) -> None:
        super().__init__(numbered, num_rows=num_rows)
        self._parts = list(parts)
        self.num_parts = len(self._parts)

    @classmethod
    def of_shards(cls, shards: Sequence[tf.data.Dataset]) -> "ShardedSource":
        """Of data sets of examples of one structure, each in a deterministic order; some may be empty."""
        sizes = [int(shard.cardinality()) for shard in shards]
        num_rows = sum(sizes) if min(sizes) >= 0 else None
        return cls(chained(shards).enumerate(), [shard.enumerate() for shard in shards], num_rows=num_rows)

    def blocks(self, batch_size: int, *, parts: Sequence[int], is_wanted: IsWanted) -> tf.data.Dataset:
        """Reads these shards alone, one after the other."""
        return chained(
            [blocks_of_part(self._parts[part], batch_size, part=part, is_wanted=is_wanted) for part in parts]
        )

    def _kept(self, is_kept: np.ndarray, part_rows: Sequence[int]) -> "ShardedSource":
        """Reads through what is dropped, each shard by its own part of `is_kept`."""
        parts_kept = np.split(is_kept, np.cumsum(part_rows)[:-1])
        return ShardedSource(
            kept_examples(self._numbered, is_kept),
            [kept_examples(part, part_kept) for part, part_kept in zip(self._parts, parts_kept, strict=True)],
            num_rows=int(is_kept.sum()),
        )


def chained(datasets: Sequence[tf.data.Dataset]) -> tf.data.Dataset:
    """Data sets of one structure, one after the other.

    Each is opened when the one before has ended; a chain of `concatenate` would be as deep as there are data sets.
    """
    variants = tf.stack([tf.data.experimental.to_variant(dataset) for dataset in datasets])
    spec = datasets[0].element_spec
    return tf.data.Dataset.from_tensor_slices(variants).flat_map(
        lambda variant: tf.data.experimental.from_variant(variant, spec)
    )
