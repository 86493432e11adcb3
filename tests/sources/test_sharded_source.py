"""A pool in shards: a function `(num_shards, shard)` of which every part can be read alone."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.sources.given_source import as_source, sharded_source
from keras_noisy_student.sources.sharded_source import ShardedSource, chained

KEY = -3_000_000_000_000_000_019
NUM_SHARDS = 4
SIZES = (5, 0, 3, 4)
NUM_ROWS = sum(SIZES)
STARTS = np.cumsum((0, *SIZES))


def shard_of_numbers(num_shards, shard):
    """12 numbers in 4 shards; one of them is empty, and tf.data does not know how many the last one holds."""
    assert num_shards == NUM_SHARDS
    numbers = tf.data.Dataset.range(STARTS[shard], STARTS[shard + 1]).map(lambda number: number + 100)
    return numbers.filter(lambda number: True) if shard == 3 else numbers


def _source(function=shard_of_numbers, num_shards=NUM_SHARDS):
    return sharded_source(function, num_shards=num_shards, name="unlabeled")


def _stream():
    return as_source(tf.data.Dataset.range(NUM_ROWS).map(lambda number: number + 100), name="unlabeled")


def _first_passes(source, num_rows, *, batch_size=1, first_batch=0):
    batches = source.shuffled_batches(batch_size, key=KEY, first_batch=first_batch)
    return [
        tuple(np.concatenate(column).tolist())
        for column in zip(*(map(np.ravel, batch) for batch in batches.take(num_rows // batch_size)), strict=True)
    ]


def test_the_shards_follow_one_another():
    source = _source()
    assert isinstance(source, ShardedSource)
    assert (source.num_parts, source.num_rows, source.element_spec) == (NUM_SHARDS, None, tf.TensorSpec((), tf.int64))
    assert np.concatenate(list(source.batches(5))).tolist() == list(range(100, 100 + NUM_ROWS))


def test_the_number_of_examples_is_known_where_that_of_every_shard_is():
    assert _source(lambda num_shards, shard: tf.data.Dataset.range(20).shard(num_shards, shard), 3).num_rows == 20


@pytest.mark.parametrize("first_batch", [0, 2, 7])
def test_the_stream_for_training_is_that_of_a_data_set_of_all_examples(first_batch):
    arguments = {"num_rows": 30, "batch_size": 3, "first_batch": first_batch}
    assert _first_passes(_source(), **arguments) == _first_passes(_stream(), **arguments)


def test_a_selection_repeats_every_example_as_asked_beside_its_own_row():
    repeats = np.int32([0, 2, 1, 0, 0, 1, 0, 1, 0, 3, 1, 0])
    columns = tf.data.Dataset.from_tensor_slices({"row": np.arange(NUM_ROWS)[:, None]}).batch(5)
    selected = _source().selected(repeats, columns, part_rows=SIZES)
    assert selected.num_rows == repeats.sum()
    ((_, rows, (x, columns)),) = selected.shuffled_batches(int(repeats.sum()), key=KEY).take(1)
    assert sorted(rows.numpy()) == np.repeat(np.arange(NUM_ROWS), repeats).tolist()
    np.testing.assert_array_equal(x, rows + 100)
    np.testing.assert_array_equal(columns["row"][:, 0], rows)


def test_a_chain_of_many_data_sets_is_read_to_its_end():
    numbers = chained([tf.data.Dataset.range(number, number + 1) for number in range(300)])
    assert list(numbers.as_numpy_iterator()) == list(range(300))


@pytest.mark.parametrize("function", [lambda shard: None, lambda: None, lambda n, shard, more: None, len])
def test_refuses_a_function_of_other_arguments(function):
    message = (
        r"`unlabeled` given as a function must take the number of shards and the shard, as in `lambda num_shards, "
        r"shard: \.\.\.`\. Received: (<lambda>|len)\("
    )
    with pytest.raises(ValueError, match=message):
        _source(function)


def test_refuses_a_shard_that_is_no_data_set():
    message = (
        r"`unlabeled\(4, 2\)` must return a tf\.data\.Dataset of unbatched examples\. Received: NoneType\. Return an "
        r"empty data set where a shard has no example"
    )
    with pytest.raises(ValueError, match=message):
        _source(lambda num_shards, shard: None if shard == 2 else tf.data.Dataset.range(3))


def test_refuses_shards_of_different_examples():
    message = re.escape(
        "`unlabeled(4, 3)` must hold examples of the same structure, shape and dtype as the first shard: "
        "TensorSpec(shape=(), dtype=tf.int64, name=None). Received: TensorSpec(shape=(), dtype=tf.int32, name=None)."
    )
    with pytest.raises(ValueError, match=message):
        _source(lambda num_shards, shard: tf.data.Dataset.range(3, output_type=tf.int32 if shard == 3 else tf.int64))


def test_refuses_a_shard_without_end():
    with pytest.raises(ValueError, match=r"`unlabeled\(4, 1\)` must be finite\."):
        _source(lambda num_shards, shard: tf.data.Dataset.range(3).repeat(-1 if shard == 1 else 1))


def test_refuses_shards_without_any_example():
    with pytest.raises(ValueError, match=r"`unlabeled` must hold at least one example\. Received: an empty data set"):
        _source(lambda num_shards, shard: tf.data.Dataset.range(0))
