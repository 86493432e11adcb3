import collections
import itertools

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from keras_noisy_student.sources.array_source import ArraySource
from keras_noisy_student.sources.concatenated_source import ConcatenatedSource
from keras_noisy_student.sources.given_source import as_source
from keras_noisy_student.sources.stream_source import StreamSource, shuffle_buffer
from tests.toy_data import features, labels

KEY = -3_000_000_000_000_000_019
KINDS = ["arrays", "stream", "several"]


def _part_rows(kind, num_rows):
    """The sizes of the sources: with `several`, of arrays and a stream."""
    return (num_rows // 3, num_rows - num_rows // 3) if kind == "several" and num_rows >= 3 else (num_rows,)


def _source(kind, data):
    if kind == "several":
        num_rows = len(tf.nest.flatten(data)[0])
        first = tf.nest.map_structure(lambda array: array[: num_rows // 3], data)
        rest = tf.nest.map_structure(lambda array: array[num_rows // 3 :], data)
        sources = [_source("arrays", first)] if num_rows >= 3 else []
        return ConcatenatedSource([*sources, _source("stream", rest)])
    return as_source(data if kind == "arrays" else tf.data.Dataset.from_tensor_slices(data), name="labeled")


def _shuffled_rows(source, num_rows, *, key=KEY, batch_size=None):
    """The first examples of the endless stream, for a source of numbers."""
    batches = source.shuffled_batches(batch_size or num_rows, key=key).take(num_rows // (batch_size or num_rows))
    return np.concatenate([x.numpy() for _, _, x in batches])


def _passes(kind, num_examples, num_passes, *, key=KEY):
    source = _source(kind, np.arange(num_examples))
    return _shuffled_rows(source, num_examples * num_passes, key=key).reshape(num_passes, num_examples)


def assert_same_tensors(batches, expected):
    for tensor, expected_tensor in zip(tf.nest.flatten(list(batches)), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(tensor, expected_tensor)


def test_arrays_and_data_sets_become_sources():
    assert isinstance(_source("arrays", features(4)), ArraySource)
    assert isinstance(_source("arrays", tf.constant(features(4))), ArraySource)
    assert isinstance(_source("stream", features(4)), StreamSource)


@pytest.mark.parametrize("kind", KINDS)
def test_states_the_structure_of_one_example(kind):
    source = _source(kind, ({"a": features(4), "b": np.zeros((4, 2, 2, 3), "uint8")}, labels(4)))
    expected = ({"a": tf.TensorSpec(4), "b": tf.TensorSpec((2, 2, 3), tf.uint8)}, tf.TensorSpec((), tf.int32))
    assert source.element_spec == expected


@pytest.mark.parametrize("batch_size", [1, 3, 7, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_hold_all_examples_once_in_order(kind, batch_size):
    x, y = features(7), labels(7)
    batches = list(_source(kind, ({"a": x}, y)).batches(batch_size))
    assert [len(batch_y) for _, batch_y in batches] == [len(y[i : i + batch_size]) for i in range(0, 7, batch_size)]
    np.testing.assert_array_equal(np.concatenate([batch_x["a"] for batch_x, _ in batches]), x)
    np.testing.assert_array_equal(np.concatenate([batch_y for _, batch_y in batches]), y)


@pytest.mark.parametrize("num_examples", [1, 2, 3, 10, 37])
@pytest.mark.parametrize("kind", KINDS)
def test_every_pass_visits_each_example_once(kind, num_examples):
    passes = _passes(kind, num_examples, num_passes=20)
    np.testing.assert_array_equal(np.sort(passes, axis=1), np.tile(np.arange(num_examples), (20, 1)))


@pytest.fixture(scope="module", params=KINDS)
def many_passes(request):
    """1000 passes over 20 examples."""
    return _passes(request.param, 20, num_passes=1000)


def test_passes_differ(many_passes):
    assert len({tuple(one_pass) for one_pass in many_passes}) > 980


def test_every_example_is_about_equally_often_at_every_place(many_passes):
    num_passes, num_examples = many_passes.shape
    counts = np.stack([(many_passes == row).sum(axis=0) for row in range(num_examples)])
    share = 1 / num_examples
    standard_deviation = np.sqrt(num_passes * share * (1 - share))
    assert np.abs(counts - num_passes * share).max() < 5 * standard_deviation


def test_neighbours_in_the_data_are_no_more_often_neighbours_in_a_pass_than_by_chance(many_passes):
    num_passes, num_examples = many_passes.shape
    num_neighbours = (many_passes[:, 1:] == many_passes[:, :-1] + 1).sum()
    expected = num_passes * (num_examples - 1) / num_examples
    assert abs(num_neighbours - expected) < 4 * np.sqrt(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_key_gives_the_same_order_and_another_key_another(kind):
    first, again, other = (_passes(kind, 30, num_passes=2, key=key) for key in (KEY, KEY, KEY + 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_does_not_depend_on_the_global_seed(kind):
    expected = _passes(kind, 30, num_passes=2)
    for seed in (0, 1):
        tf.random.set_seed(seed)
        try:
            np.testing.assert_array_equal(_passes(kind, 30, num_passes=2), expected)
        finally:
            tf.random.set_seed(None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_does_not_depend_on_the_batch_size(kind):
    source = _source(kind, np.arange(7))
    expected = _shuffled_rows(source, 60)
    for batch_size in (1, 4, 20):
        np.testing.assert_array_equal(_shuffled_rows(source, 60, batch_size=batch_size), expected)


@pytest.mark.parametrize("num_skipped", [1, 3, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_begins_late_is_the_same_as_one_that_was_read_on(kind, num_skipped):
    source = _source(kind, np.arange(7) + 100)
    read_on = list(source.shuffled_batches(4, key=KEY).take(num_skipped + 3))[num_skipped:]
    late = list(source.shuffled_batches(4, key=KEY, first_batch=num_skipped).take(3))
    assert_same_tensors(late, read_on)


@pytest.mark.parametrize("num_skipped", [1, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_selection_that_begins_late_is_the_same_as_one_that_was_read_on(kind, num_skipped):
    repeats = np.int32([0, 2, 1, 0, 3])
    selected = _source(kind, np.arange(5) + 100).selected(repeats, _columns(5), part_rows=_part_rows(kind, 5))
    read_on = list(selected.shuffled_batches(4, key=KEY).take(num_skipped + 3))[num_skipped:]
    assert_same_tensors(selected.shuffled_batches(4, key=KEY, first_batch=num_skipped).take(3), read_on)


def test_a_stream_of_unknown_length_that_begins_late_is_the_same_as_one_that_was_read_on():
    source = as_source(tf.data.Dataset.range(9).filter(lambda x: x != 4), name="unlabeled")
    read_on = list(source.shuffled_batches(3, key=KEY).take(9))[6:]
    assert_same_tensors(source.shuffled_batches(3, key=KEY, first_batch=6).take(3), read_on)


def test_a_stream_that_begins_late_does_not_read_the_passes_before():
    reads = []

    def read(x):
        tf.py_function(lambda: reads.append(1), [], [])
        return x

    source = as_source(tf.data.Dataset.range(10).map(read), name="unlabeled")
    reads.clear()
    next(iter(source.shuffled_batches(5, key=KEY, first_batch=2000)))
    # A pass is 10 rows; a few more may have been read ahead.
    assert 10 <= len(reads) <= 30


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_comes_with_its_row_in_the_users_data(kind):
    source = _source(kind, np.arange(5) + 100)
    ((_, rows, x),) = source.shuffled_batches(10, key=KEY).take(1)
    np.testing.assert_array_equal(x, rows + 100)
    selected = source.selected(np.int32([0, 2, 1, 0, 3]), _columns(5), part_rows=_part_rows(kind, 5))
    ((_, rows, (x, _)),) = selected.shuffled_batches(12, key=KEY).take(1)
    np.testing.assert_array_equal(x, rows + 100)
    assert rows.dtype == tf.int64


@pytest.mark.parametrize("kind", KINDS)
def test_positions_count_up_without_end_and_batches_are_full(kind):
    batches = _source(kind, np.arange(7)).shuffled_batches(5, key=KEY)
    positions, _, x = zip(*batches.take(6), strict=True)
    np.testing.assert_array_equal(np.concatenate(positions), np.arange(30))
    assert positions[0].dtype == tf.int64
    assert {tensor.shape for tensor in x} == {(5,)}
    assert batches.element_spec[2].shape == (5,)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_an_example_stay_together(kind):
    x, y = features(9), np.arange(9)
    ((_, _, (batch_x, batch_y)),) = _source(kind, ({"a": x, "b": -x}, y)).shuffled_batches(18, key=KEY).take(1)
    np.testing.assert_array_equal(batch_x["a"], x[batch_y])
    np.testing.assert_array_equal(batch_x["b"], -x[batch_y])


def _columns(num_rows, block_size=4):
    """Blocks of rows that name the row and its square."""
    rows = np.arange(num_rows)[:, None]
    return tf.data.Dataset.from_tensor_slices({"row": rows, "square": rows**2}).batch(block_size)


def _selected_pass(kind, repeats):
    source = _source(kind, np.arange(len(repeats)) + 100)
    selected = source.selected(np.int32(repeats), _columns(len(repeats)), part_rows=_part_rows(kind, len(repeats)))
    ((_, _, (x, row)),) = selected.shuffled_batches(int(sum(repeats)), key=KEY).take(1)
    return list(zip(*(tensor.numpy().ravel().tolist() for tensor in (x, row["row"], row["square"])), strict=True))


@pytest.mark.parametrize(
    "repeats",
    [[1] * 9, [1, 0, 0, 1], [0, 1, 0, 2, 0], [3], [5, 0, 1], np.random.default_rng(0).integers(0, 4, 30).tolist()],
)
@pytest.mark.parametrize("kind", KINDS)
def test_selected_repeats_every_example_as_asked_beside_its_own_row(kind, repeats):
    expected = itertools.chain(*([(100 + i, i, i**2)] * count for i, count in enumerate(repeats)))
    assert collections.Counter(_selected_pass(kind, repeats)) == collections.Counter(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_copies_are_spread_apart(kind):
    rows = [row for _, row, _ in _selected_pass(kind, [10] * 10)]
    num_neighbours = sum(one == other for one, other in itertools.pairwise(rows))
    assert num_neighbours < 25


@pytest.mark.parametrize("kind", KINDS)
def test_selected_examples_have_the_structure_of_both(kind):
    source = _source(kind, {"a": features(4)}).selected(
        np.int32([1, 0, 2, 1]), _columns(4), part_rows=_part_rows(kind, 4)
    )
    spec = {"a": tf.TensorSpec(4)}, {name: tf.TensorSpec(1, tf.int64) for name in ("row", "square")}
    assert source.element_spec == spec


@pytest.mark.parametrize("num_rows", [4, 6])
def test_selecting_from_arrays_of_another_length_is_an_error(num_rows):
    message = (
        rf"The unlabelled pool has changed since it was annotated: it had {num_rows} examples, received 5\. Use the "
        r"pool that was annotated, or another `directory`\."
    )
    with pytest.raises(ValueError, match=message):
        _source("arrays", features(5)).selected(np.ones(num_rows, "int32"), _columns(num_rows), part_rows=(num_rows,))


def test_float64_arrays_become_float32():
    assert _source("arrays", np.zeros((3, 2), "float64")).element_spec.dtype == tf.float32


@pytest.mark.parametrize(
    ("data", "received"),
    [
        (None, "NoneType"),
        ("images/", "str"),
        (iter([1.0]), "list_iterator"),
        (pd.DataFrame(features(3)), "DataFrame"),
        ((features(3), pd.Series(labels(3))), "Series"),
        (np.array([None, "a"]), "ndarray"),
        (np.zeros(()), "ndarray"),
        (tf.ragged.constant([[1], [2, 3]]), "RaggedTensor"),
    ],
)
def test_refuses_what_is_neither_arrays_nor_a_data_set(data, received):
    message = (
        r"`unlabeled` must be a tf\.data\.Dataset of unbatched examples, or NumPy arrays or tensors whose first "
        rf"dimension counts the examples\. Received: {received}"
    )
    with pytest.raises(ValueError, match=message):
        as_source(data, name="unlabeled")


@pytest.mark.parametrize(
    "data", [[1.0, 2.0], ([[1.0], [2.0]], [0, 1]), [features(3), labels(3)], {"a": [features(3), features(3)]}]
)
def test_refuses_lists_and_says_how_to_make_arrays_of_them(data):
    with pytest.raises(
        ValueError, match=r"`labeled` must be .* Received: a list\. Make it an array with `np\.asarray`"
    ):
        as_source(data, name="labeled")


@pytest.mark.parametrize("data", [pd.DataFrame(features(3)), (features(3), pd.Series(labels(3)))])
def test_says_how_to_make_arrays_of_what_pandas_holds(data):
    with pytest.raises(ValueError, match=r"Received: (DataFrame|Series)\. Make it an array with `\.to_numpy\(\)`\."):
        as_source(data, name="labeled")


def test_refuses_arrays_of_different_lengths():
    message = r"The arrays of `labeled` must have the same length\. Received: lengths \[3, 4\]\."
    with pytest.raises(ValueError, match=message):
        as_source((features(4), labels(3)), name="labeled")


def test_refuses_arrays_without_examples():
    message = r"`labeled` must hold at least one example\. Received: arrays of length 0\."
    with pytest.raises(ValueError, match=message):
        as_source((features(0), labels(0)), name="labeled")


def test_refuses_a_data_set_without_examples():
    message = r"`unlabeled` must hold at least one example\. Received: an empty data set\."
    with pytest.raises(ValueError, match=message):
        as_source(tf.data.Dataset.range(5).filter(lambda x: False), name="unlabeled")


def test_refuses_a_data_set_without_end():
    message = r"`labeled` must be finite\. Received: a data set that repeats for ever\. Remove its `\.repeat\(\)`\."
    with pytest.raises(ValueError, match=message):
        as_source(tf.data.Dataset.range(5).repeat(), name="labeled")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (tf.TensorSpec((), tf.int32), 65_536),
        (tf.TensorSpec((224, 224, 3), tf.uint8), (512 << 20) // (224 * 224 * 3)),
        ((tf.TensorSpec((2048, 2048), tf.float32), tf.TensorSpec((2048, 2048), tf.float32)), 16),
        (tf.TensorSpec((1 << 15, 1 << 15), tf.uint8), 1),
    ],
)
def test_the_shuffle_buffer_fits_512_mebibytes(spec, expected):
    assert shuffle_buffer(spec) == expected


def test_streams_that_share_a_shuffle_buffer_fit_512_mebibytes_together():
    spec = tf.TensorSpec((1 << 20,), tf.uint8)
    assert [shuffle_buffer(spec, num_sharing=num) for num in (1, 2, 3, 1000)] == [512, 256, 170, 1]


def test_a_selection_from_arrays_holds_only_the_columns_that_are_used():
    blocks = []

    def read_block():
        for block in _columns(1000, block_size=10):
            blocks.append(block)
            yield block

    columns = tf.data.Dataset.from_generator(read_block, output_signature=_columns(1000, 10).element_spec)
    repeats = np.zeros(1000, "int32")
    repeats[[3, 500, 501]] = (2, 1, 1)
    selected = _source("arrays", np.arange(1000)).selected(repeats, columns, part_rows=(1000,))
    assert len(blocks) == 100
    assert {name: array.shape[0] for name, array in selected._columns.items()} == {"row": 3, "square": 3}
