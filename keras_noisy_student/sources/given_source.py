"""From what the user passed as data to a source."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_noisy_student.argument_checks import check_takes
from keras_noisy_student.given_data import check_dataset, check_elements, checked_arrays
from keras_noisy_student.sources.array_source import ArraySource
from keras_noisy_student.sources.sharded_source import ShardedSource, chained
from keras_noisy_student.sources.source import Source
from keras_noisy_student.sources.stream_source import StreamSource


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


def sharded_source(function: Callable[[int, int], tf.data.Dataset], *, num_shards: int, name: str) -> ShardedSource:
    """Wraps a function `(num_shards, shard)` that returns a data set of the examples of a shard.

    Raises:
        ValueError: when it takes other arguments, when a shard is no finite `tf.data.Dataset` or holds other examples
            than the first one, or when all are empty.
    """
    expected = "the number of shards and the shard, as in `lambda num_shards, shard: ...`"
    check_takes(name, function, num_shards, 0, expected=expected)
    shards = [function(num_shards, shard) for shard in range(num_shards)]
    for index, shard in enumerate(shards):
        call = f"{name}({num_shards}, {index})"
        if not isinstance(shard, tf.data.Dataset):
            raise ValueError(
                f"`{call}` must return a tf.data.Dataset of unbatched examples. Received: {type(shard).__name__}. "
                "Return an empty data set where a shard has no example: `dataset.take(0)`."
            )
        check_elements(shard, name=call)
        if shard.element_spec != shards[0].element_spec:
            raise ValueError(
                f"`{call}` must hold examples of the same structure, shape and dtype as the first shard: "
                f"{shards[0].element_spec}. Received: {shard.element_spec}. Make every shard by the same steps."
            )
    check_dataset(chained(shards), name=name)
    return ShardedSource.of_shards(shards)
