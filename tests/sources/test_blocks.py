"""Blocks: what a worker reads to annotate, and what is left of a pool of which some examples are kept."""

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.sources.concatenated_source import ConcatenatedSource
from keras_noisy_student.sources.given_source import as_source, sharded_source
from tests.sources.test_sharded_source import NUM_ROWS, NUM_SHARDS, SIZES, shard_of_numbers

NUMBERS = np.arange(NUM_ROWS) + 100
as_dataset = tf.data.Dataset.from_tensor_slices
POOLS = {
    "arrays": lambda: as_source(NUMBERS, name="unlabeled"),
    "stream": lambda: as_source(as_dataset(NUMBERS), name="unlabeled"),
    "shards": lambda: sharded_source(shard_of_numbers, num_shards=NUM_SHARDS, name="unlabeled"),
    "several": lambda: ConcatenatedSource(
        [
            as_source(NUMBERS[:5], name="unlabeled[0]"),
            sharded_source(
                lambda num_shards, shard: as_dataset(NUMBERS[5:8]).take(3 * shard), num_shards=2, name="unlabeled[1]"
            ),
            as_source(as_dataset(NUMBERS[8:]).filter(lambda number: True), name="unlabeled[2]"),
        ]
    ),
}
PART_ROWS = {"arrays": (NUM_ROWS,), "stream": (NUM_ROWS,), "shards": SIZES, "several": (5, 0, 3, 4)}
EVERY_PART = range(NUM_SHARDS)


def _every_block(part, number):
    return True


def _blocks(source, batch_size, *, parts=EVERY_PART, is_wanted=_every_block):
    parts = [part for part in parts if part < source.num_parts]
    blocks = source.blocks(batch_size, parts=parts, is_wanted=is_wanted)
    return [(int(part), int(number), rows.tolist(), x.tolist()) for part, number, rows, x in blocks.as_numpy_iterator()]


def _expected_blocks(numbers_of_parts, rows_of_parts, batch_size):
    """The slow reference."""
    blocks = []
    for part, (numbers, rows) in enumerate(zip(numbers_of_parts, rows_of_parts, strict=True)):
        starts = range(0, len(numbers), batch_size)
        for number, start in enumerate(starts):
            stop = start + batch_size
            blocks.append((part, number, list(rows[start:stop]), list(numbers[start:stop])))
        blocks.append((part, len(starts), [], []))
    return blocks


def _parts(kind, is_kept=None):
    """The numbers of each part, and their rows there, of those that are kept."""
    is_kept = np.ones(NUM_ROWS, bool) if is_kept is None else is_kept
    ends = np.cumsum(PART_ROWS[kind])[:-1]
    marked = zip(np.split(NUMBERS, ends), np.split(is_kept, ends), strict=True)
    return tuple(
        zip(*((numbers[kept].tolist(), np.flatnonzero(kept).tolist()) for numbers, kept in marked), strict=True)
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 20])
@pytest.mark.parametrize("kind", POOLS)
def test_blocks_never_cross_a_part_and_an_empty_one_ends_it(kind, batch_size):
    assert _blocks(POOLS[kind](), batch_size) == _expected_blocks(*_parts(kind), batch_size)


@pytest.mark.parametrize("kind", POOLS)
def test_only_the_wanted_blocks_of_the_parts_asked_for_are_read(kind):
    read = _blocks(POOLS[kind](), 2, parts=(0, 3), is_wanted=lambda part, number: (part + number) % 2 == 1)
    expected = [
        (part, number, rows, x)
        for part, number, rows, x in _expected_blocks(*_parts(kind), 2)
        if part in (0, 3) and ((part + number) % 2 == 1 or not rows)
    ]
    assert read == expected


def test_shards_that_are_not_asked_for_are_never_opened():
    opened = []

    def shard(num_shards, shard):
        def open_shard():
            opened.append(shard)
            return iter([1, 2])

        return tf.data.Dataset.from_generator(open_shard, output_signature=tf.TensorSpec((), tf.int32))

    source = sharded_source(shard, num_shards=4, name="unlabeled")
    opened.clear()
    assert len(_blocks(source, 1, parts=(3, 1))) == 6
    assert opened == [3, 1]


IS_KEPT = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1], bool)


@pytest.mark.parametrize("kind", POOLS)
def test_kept_examples_stay_in_their_order_parts_and_rows(kind):
    source = POOLS[kind]()
    once = source.kept(IS_KEPT, part_rows=PART_ROWS[kind])
    assert once.num_rows == IS_KEPT.sum()
    assert np.concatenate(list(once.batches(4))).tolist() == NUMBERS[IS_KEPT].tolist()
    assert _blocks(once, 2) == _expected_blocks(*_parts(kind, IS_KEPT), 2)
    ((_, rows, x),) = once.shuffled_batches(12, key=5).take(1)
    assert sorted(rows.numpy()) == sorted(np.flatnonzero(IS_KEPT).tolist() * 2)
    np.testing.assert_array_equal(x, rows + 100)

    again = np.array([1, 0, 0, 1, 0, 1], bool)
    both = IS_KEPT.copy()
    both[IS_KEPT] = again
    part_rows = [len(rows) for rows in _parts(kind, IS_KEPT)[1]]
    assert _blocks(once.kept(again, part_rows=part_rows), 2) == _expected_blocks(*_parts(kind, both), 2)


@pytest.mark.parametrize("kind", POOLS)
def test_a_selection_of_kept_examples_keeps_the_rows_of_the_users_data(kind):
    kept = POOLS[kind]().kept(IS_KEPT, part_rows=PART_ROWS[kind])
    part_rows = [len(rows) for rows in _parts(kind, IS_KEPT)[1]]
    columns = tf.data.Dataset.from_tensor_slices({"row": np.flatnonzero(IS_KEPT)[:, None]}).batch(4)
    repeats = np.int32([0, 2, 1, 0, 1, 0])
    ((_, rows, (x, columns)),) = kept.selected(repeats, columns, part_rows=part_rows).shuffled_batches(4, key=5).take(1)
    assert sorted(rows.numpy()) == np.repeat(np.flatnonzero(IS_KEPT), repeats).tolist()
    np.testing.assert_array_equal(x, rows + 100)
    np.testing.assert_array_equal(columns["row"][:, 0], rows)


@pytest.mark.parametrize("kind", POOLS)
def test_keeping_nothing_is_an_error(kind):
    with pytest.raises(ValueError, match=r"must keep at least one example\. Received: 0 of 12\. Keep more in `select`"):
        POOLS[kind]().kept(np.zeros(NUM_ROWS, bool), part_rows=PART_ROWS[kind])


def test_keeping_examples_of_another_pool_is_an_error():
    is_kept = np.ones(NUM_ROWS + 1, bool)
    with pytest.raises(ValueError, match=r"has changed since it was annotated: it had 13 examples, received 12"):
        POOLS["arrays"]().kept(is_kept, part_rows=(13,))
    with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain 13"):
        list(POOLS["stream"]().kept(is_kept, part_rows=(13,)).batches(4))
