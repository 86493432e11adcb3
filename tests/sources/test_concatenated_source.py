"""Several pools as one."""

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.data_checks import same_examples_source
from keras_noisy_student.sources import stream_source
from keras_noisy_student.sources.concatenated_source import ConcatenatedSource
from keras_noisy_student.sources.given_source import as_source

SPEC = tf.TensorSpec((), tf.int64)
KEY = -3_000_000_000_000_000_019
as_dataset = tf.data.Dataset.from_tensor_slices


def _pool(pools, spec=SPEC):
    return same_examples_source(pools, spec, name="unlabeled", num_shards=2)


def _of_every_kind():
    """20 numbers from 100 on: 4 of an array, 3 and 3 of a function, 10 of a data set."""
    numbers = np.arange(100, 120)
    return _pool(
        [numbers[:4], lambda num_shards, shard: as_dataset(numbers[4:10]).shard(2, shard), as_dataset(numbers[10:])]
    )


def test_a_list_is_one_pool_of_all_parts():
    source = _of_every_kind()
    assert (source.num_rows, source.num_parts, source.element_spec) == (20, 4, SPEC)
    expected = [*range(100, 104), 104, 106, 108, 105, 107, 109, *range(110, 120)]
    assert np.concatenate(list(source.batches(6))).tolist() == expected
    assert source.kind == "ConcatenatedSource of ArraySource (4), ShardedSource (6), StreamSource (10)"


def test_a_list_in_a_list_is_an_error():
    with pytest.raises(ValueError, match=r"`unlabeled\[1\]` must be .* Received: a list\. Make it an array"):
        _pool([np.arange(3), [1, 2]])


def test_rows_are_places_in_the_whole_pool_where_a_size_is_unknown_too():
    source = _pool([np.arange(100, 104), as_dataset(np.arange(104, 112)).filter(lambda x: True), np.arange(112, 115)])
    assert source.num_rows is None
    ((positions, rows, x),) = source.shuffled_batches(30, key=KEY).take(1)
    np.testing.assert_array_equal(positions, np.arange(30))
    np.testing.assert_array_equal(x, rows + 100)
    assert sorted(rows[:15].numpy()) == list(range(15))


def test_pools_are_mixed_by_their_sizes_all_along_a_pass():
    """Neither of them comes first, although each is longer than any shuffle would reach."""
    sizes = 3000, 1000
    pools = [as_dataset(np.full(size, place)) for place, size in enumerate(sizes)]
    ((_, _, x),) = _pool(pools).shuffled_batches(sum(sizes), key=KEY).take(1)
    shares = x.numpy().reshape(20, 200).mean(axis=1)
    assert shares.mean() == 0.25
    assert np.abs(shares - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 200)


def test_streams_share_the_memory_of_one_shuffle_buffer(monkeypatch):
    """A buffer of two examples shuffles one stream; two streams have one each, which leaves both in their order."""
    monkeypatch.setattr(stream_source, "_SHUFFLE_BUFFER_BYTES", 2 * SPEC.dtype.size)
    streams = [as_dataset(np.arange(20)), lambda num_shards, shard: as_dataset(np.arange(20 * (shard < 1)))]

    def is_in_order(pools):
        ((_, rows, _),) = _pool([np.arange(4), *pools]).shuffled_batches(4 + 20 * len(pools), key=KEY).take(1)
        of_each = [rows[(rows >= start) & (rows < start + 20)] for start in (4, 24)[: len(pools)]]
        return [bool((np.diff(of_one) > 0).all()) for of_one in of_each]

    assert is_in_order(streams) == [True, True]
    assert is_in_order(streams[:1]) == [False]


def test_a_pool_of_which_nothing_is_selected_is_left_out():
    opened = []

    def open_pool():
        opened.append(1)
        yield 7

    unused = tf.data.Dataset.from_generator(open_pool, output_signature=SPEC)
    source = ConcatenatedSource([as_source(np.arange(3), name="one"), as_source(unused, name="two")])
    opened.clear()
    columns = as_dataset({"row": np.arange(4)[:, None]}).batch(4)
    selected = source.selected(np.int32([2, 0, 1, 0]), columns, part_rows=(3, 1))
    ((_, rows, (x, own)),) = selected.shuffled_batches(3, key=KEY).take(1)
    assert sorted(rows.numpy()) == sorted(x.numpy()) == sorted(own["row"].numpy().ravel()) == [0, 0, 2]
    assert opened == []


@pytest.mark.parametrize("place", [0, 2])
def test_an_error_names_the_pool(place):
    pools = [np.arange(3), as_dataset(np.arange(3)), lambda num_shards, shard: as_dataset(np.arange(3))]
    pools[place] = as_dataset(np.arange(3)).batch(2)
    message = rf"`unlabeled\[{place}\]` must hold examples of the same structure.* If `unlabeled\[{place}\]` is batched"
    with pytest.raises(ValueError, match=message):
        _pool(pools)
    pools[place] = lambda num_shards, shard: None
    with pytest.raises(ValueError, match=rf"`unlabeled\[{place}\]\(2, 0\)` must return a tf\.data\.Dataset"):
        _pool(pools)


def test_a_list_of_examples_is_an_error_that_says_how_to_make_an_array():
    images = [np.zeros((4, 3), "uint8"), np.zeros((4, 3), "uint8")]
    with pytest.raises(ValueError, match=r"If `unlabeled\[0\]` is one example, make one array of all .* `np\.stack`"):
        _pool(images, tf.TensorSpec((4, 3), tf.uint8))


def test_an_empty_list_is_an_error():
    with pytest.raises(
        ValueError, match=r"`unlabeled` given as a list must hold at least one pool .* Received: \[\]\."
    ):
        _pool([])


def test_a_list_is_no_data_to_predict():
    with pytest.raises(ValueError, match=r"`x` must be .* Received: a list\."):
        same_examples_source([np.arange(3)], SPEC, name="x")
