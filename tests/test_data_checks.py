from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from keras_noisy_student.data_checks import evaluation_source, labeled_source, read_labels, same_examples_source
from keras_noisy_student.run_data import check_run_data
from keras_noisy_student.tasks.classification import Classification
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, features, labels

TASK = Classification(NUM_CLASSES)
X, Y = features(9), labels(9)
POOL = features(5, seed=1)
KINDS = ["arrays", "stream"]


def _as(kind, data):
    return data if kind == "arrays" else tf.data.Dataset.from_tensor_slices(data)


def _check(labeled=(X, Y), unlabeled=POOL, validation=None, num_rounds=1):
    return check_run_data(labeled, unlabeled, validation, task=TASK, num_rounds=num_rounds)


@pytest.mark.parametrize("kind", KINDS)
def test_good_data_is_wrapped(kind):
    data = _check(_as(kind, (X, Y)), _as(kind, POOL), _as(kind, (X[:4], Y[:4])))
    np.testing.assert_array_equal(data.labels, Y)
    assert data.element_spec == tf.TensorSpec(NUM_FEATURES)
    np.testing.assert_array_equal(data.first_examples, X[:8])
    assert data.first_examples is data.first_examples, "read again"
    np.testing.assert_array_equal(np.concatenate(list(data.pool.batches(2))), POOL)
    assert [len(y) for _, y in data.validation_batches(3)] == [3, 1]


def test_how_many_validation_examples_there_are_is_found_out():
    examples = tf.data.Dataset.from_tensor_slices((X, Y)).filter(lambda x, y: y == 0)
    batches = _check(validation=examples).validation_batches(3)
    assert examples.cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert batches.cardinality() == -(-np.sum(Y == 0) // 3) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_examples_may_be_dicts(kind):
    data = _check(_as(kind, ({"a": X, "b": Y}, Y)), _as(kind, {"b": Y, "a": X}))
    assert data.element_spec == {"a": tf.TensorSpec(NUM_FEATURES), "b": tf.TensorSpec((), tf.int32)}


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint16"])
def test_labels_may_be_of_any_integer_dtype(dtype):
    assert _check((X, Y.astype(dtype))).labels.tolist() == Y.tolist()


def test_the_first_teacher_needs_no_pool():
    data = _check(unlabeled=None, num_rounds=0)
    assert data.unlabeled is None
    assert data.validation_batches(4) is None


def test_students_need_a_pool():
    message = (
        r"`unlabeled` is needed to train students\. Received: unlabeled=None\. Pass the unlabelled pool, or "
        r"num_rounds=0 to train the first teacher alone\."
    )
    with pytest.raises(ValueError, match=message):
        _check(unlabeled=None)


@pytest.mark.parametrize("num_rounds", [-1, 1001, 10**400, 1.0, "3", True, None])
def test_refuses_another_number_of_rounds(num_rounds):
    message = rf"`num_rounds` must be an integer from 0 to 1000\. Received: num_rounds={num_rounds!r}\."
    with pytest.raises(ValueError, match=message):
        _check(num_rounds=num_rounds)


def test_the_description_tells_labels_structure_number_and_kind_apart():
    description = _check((X, Y.astype("int32"))).description()
    others = [
        _check(_as("stream", (X, Y))),
        _check((X, Y[::-1].copy())),
        _check((X + 1, Y)),
        _check((X, Y), POOL + 1),
        _check((X[:8], Y[:8])),
        _check((X.astype("float16"), Y), POOL.astype("float16")),
    ]
    assert description["num_labeled"] == 9
    order = np.random.default_rng(0).permutation(len(X))
    assert _check((X[order], Y[order].astype("int64"))).description() == description
    assert all(other.description() != description for other in others)


@pytest.mark.parametrize(
    "data", [X, (X,), (X, Y, Y), {"x": X, "y": Y}, tf.data.Dataset.from_tensor_slices(X)], ids=lambda data: None
)
def test_refuses_labelled_data_that_is_not_made_of_pairs(data):
    message = (
        r"`labeled` must hold examples \(x, y\): a pair of arrays, or a tf\.data\.Dataset of pairs\. Received: "
        r"examples of the structure .*TensorSpec\(shape=\(4,\), dtype=tf\.float32"
    )
    with pytest.raises(ValueError, match=message):
        labeled_source(data, TASK, name="labeled")


class Example(NamedTuple):
    x: np.ndarray
    y: np.ndarray


def test_says_how_to_make_a_pair_of_a_named_tuple():
    message = (
        r"Received: examples of the structure Example\(.*\)\. A named tuple becomes a pair by `tuple\(example\)`\."
    )
    with pytest.raises(ValueError, match=message):
        labeled_source(Example(X, Y), TASK, name="labeled")


def test_refuses_labels_without_anything_to_label():
    message = r"The `x` of `labeled` must hold at least one tensor\. Received: examples of the structure \(\{\}, Tensor"
    with pytest.raises(ValueError, match=message):
        labeled_source(({}, Y), TASK, name="labeled")


def _breaking_after(num_examples, data):
    """A data set that yields so many examples, then fails as a broken file does."""
    examples = tf.data.Dataset.from_tensor_slices(data)

    def read():
        yield from examples.take(num_examples)
        raise OSError("broken file")

    return tf.data.Dataset.from_generator(read, output_signature=examples.element_spec)


@pytest.mark.parametrize(
    ("name", "num_examples"),
    [("labeled", 0), ("labeled", 8), ("validation", 0), ("validation", 8), ("unlabeled", 0)],
)
def test_a_data_set_that_breaks_is_named(name, num_examples):
    argument = "validation_data" if name == "validation" else name
    message = rf"`{argument}` must be a data set that can be read to its end\. Received: (?s:.*)broken file"
    data = POOL if name == "unlabeled" else (X, Y)
    with pytest.raises(ValueError, match=message):
        _check(**{name: _breaking_after(num_examples, data)}).description()


@pytest.mark.parametrize(
    ("data", "received"),
    [
        ((X, np.eye(3, dtype="int32")[Y]), r"shape=\(3,\)"),
        ((X, Y[:, None]), r"shape=\(1,\)"),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), r"shape=\(None,\)"),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(3, drop_remainder=True), r"shape=\(3,\)"),
    ],
)
def test_refuses_labels_that_are_not_one_class_id_per_example(data, received):
    message = (
        rf"The labels of `labeled` must be one class id per example, of shape \(\)\. Received: "
        rf"TensorSpec\({received}.*\. If the data set is batched, call `\.unbatch\(\)` on it; if labels are one-hot, "
        r"take `tf\.argmax\(y, axis=-1\)`; if they have a last dimension of 1, drop it with `y\[\.\.\., 0\]`\."
    )
    with pytest.raises(ValueError, match=message):
        labeled_source(data, TASK, name="labeled")


def _of_shape(shape):
    signature = (tf.TensorSpec(shape), tf.TensorSpec((), tf.int32))
    return tf.data.Dataset.from_generator(lambda: zip(X, Y, strict=True), output_signature=signature)


@pytest.mark.parametrize("shape", [None, (None,)])
def test_refuses_examples_without_a_static_shape(shape):
    message = (
        r"The examples of `labeled` must have a static shape\. Received: TensorSpec\(shape=.*\. If the data set is "
        r"batched, call `\.unbatch\(\)` on it; else resize the examples, or state their shape with `tf\.ensure_shape`\."
    )
    with pytest.raises(ValueError, match=message):
        labeled_source(_of_shape(shape), TASK, name="labeled")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bool"])
def test_refuses_labels_that_are_not_integers(kind, dtype):
    message = r"Labels must be integer class ids\. Received: dtype \w+\. Cast them"
    with pytest.raises(ValueError, match=message):
        _check(_as(kind, (X, Y.astype(dtype))))


@pytest.mark.parametrize("wrong", [-1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_refuses_labels_out_of_range_wherever_they_stand(kind, wrong):
    y = np.append(Y, [wrong]).astype("int32")
    message = rf"Labels must be in \[0, 3\) for num_classes=3\. Received: \[{wrong}\] in 1 of 10 examples"
    with pytest.raises(ValueError, match=message):
        _check(_as(kind, (features(10), y)))


def test_refuses_labels_that_miss_a_class():
    with pytest.raises(ValueError, match=r"Every class needs a labelled example.* Missing: \[2\]"):
        _check((X, Y % 2))


def test_validation_data_may_miss_a_class():
    assert _check(validation=(X[:1], Y[:1])).validation is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("pool", "received", "fix"),
    [
        (POOL.astype("float16"), "dtype=tf.float16", "Resize and cast both alike before you pass them."),
        (POOL[:, :3], r"shape=\(3,\)", "Resize and cast both alike"),
        ({"x": POOL}, "'x': TensorSpec", "Resize and cast both alike"),
        (
            (POOL, POOL[:, 0]),
            r"\(TensorSpec",
            r"If `unlabeled` has labels, drop them: `dataset\.map\(lambda x, y: x\)`\.",
        ),
        (np.stack([POOL, POOL]), r"shape=\(5, 4\)", r"If `unlabeled` is batched, call `\.unbatch\(\)` on it\."),
    ],
    ids=["dtype", "shape", "dict", "labels", "batches"],
)
def test_refuses_a_pool_unlike_the_labelled_examples(kind, pool, received, fix):
    message = (
        r"`unlabeled` must hold examples of the same structure, shape and dtype as the labelled ones: "
        rf"TensorSpec\(shape=\(4,\), dtype=tf\.float32, name=None\)\. Received: .*{received}.*\. {fix}"
    )
    with pytest.raises(ValueError, match=message):
        _check(unlabeled=_as(kind, pool))


def test_refuses_a_batched_pool():
    with pytest.raises(ValueError, match=r"If `unlabeled` is batched, call `\.unbatch\(\)` on it\."):
        _check(unlabeled=tf.data.Dataset.from_tensor_slices(POOL).batch(2))


def test_refuses_a_pool_of_dicts_with_other_keys():
    with pytest.raises(ValueError, match=r"`unlabeled` must hold examples of the same structure"):
        same_examples_source({"b": POOL}, {"a": tf.TensorSpec(NUM_FEATURES)}, name="unlabeled")


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ((X[:, :3], Y), r"`validation_data` must hold examples of the same structure, shape and dtype"),
        (X, r"`validation_data` must hold examples \(x, y\)"),
        ((X, Y + 1), r"Labels must be in \[0, 3\)"),
        ((X, Y.astype("float32")), r"Labels must be integer class ids"),
        ((X[:0], Y[:0]), r"`validation_data` must hold at least one example"),
    ],
)
def test_refuses_validation_data_that_cannot_be_evaluated(validation, message):
    with pytest.raises(ValueError, match=message):
        _check(validation=validation)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labeled": (X[:0], Y[:0])}, r"`labeled` must hold at least one example"),
        ({"unlabeled": POOL[:0]}, r"`unlabeled` must hold at least one example"),
        (
            {"unlabeled": tf.data.Dataset.from_tensor_slices(POOL).take(0)},
            r"`unlabeled` must hold at least one example",
        ),
        ({"labeled": tf.data.Dataset.from_tensor_slices((X, Y)).repeat()}, r"`labeled` must be finite"),
        ({"unlabeled": tf.data.Dataset.from_tensor_slices(POOL).repeat()}, r"`unlabeled` must be finite"),
        ({"labeled": (X.tolist(), Y.tolist())}, r"`labeled` must be a tf\.data\.Dataset .* Received: "),
        ({"unlabeled": POOL.tolist()}, r"`unlabeled\[0\]` must be a tf\.data\.Dataset .* Received: "),
        ({"labeled": (pd.DataFrame(X), pd.Series(Y))}, r"`labeled` must be a tf\.data\.Dataset .* Received: DataFrame"),
        ({"unlabeled": pd.DataFrame(POOL)}, r"`unlabeled` must be a tf\.data\.Dataset .* Received: DataFrame"),
        ({"labeled": None}, r"`labeled` must be a tf\.data\.Dataset .* Received: NoneType"),
        ({"labeled": (X, Y[:8])}, r"The arrays of `labeled` must have the same length\. Received: lengths \[8, 9\]"),
    ],
    ids=lambda value: None,
)
def test_refuses_data_that_is_empty_endless_or_of_another_type(arguments, message):
    with pytest.raises(ValueError, match=message):
        _check(**arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_read_whole_and_in_order(kind):
    source = labeled_source(_as(kind, (X, Y)), TASK, name="labeled")
    np.testing.assert_array_equal(read_labels(source, TASK, name="labeled"), Y)


def test_an_evaluation_source_is_named_in_its_errors():
    with pytest.raises(ValueError, match="`data` must hold examples of the same structure"):
        evaluation_source((X[:, :3], Y), tf.TensorSpec(NUM_FEATURES), TASK, name="data")
