"""What may be given as data. That the sources refuse the rest in words is tested in `test_sources`."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.given_data import check_dataset, checked_arrays, reading
from tests.toy_data import features, labels

X, Y = features(6), labels(6)
PAIRS = tf.data.Dataset.from_tensor_slices((X, Y))


def test_arrays_are_taken_as_they_are_but_for_float64():
    arrays = checked_arrays(({"a": X, "b": X.astype("float64")}, tf.constant(Y)), name="labeled")
    assert arrays[0]["a"] is X
    np.testing.assert_array_equal(arrays[0]["b"], X)
    assert arrays[0]["b"].dtype == np.float32


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "complex64", "U3", "S3"])
def test_arrays_may_be_of_any_dtype_of_tensorflow(dtype):
    array = np.zeros((3, 2), dtype)
    assert checked_arrays(array, name="unlabeled") is array


@pytest.mark.parametrize("dtype", ["object", "datetime64[s]", "timedelta64[s]", "longdouble", "V4", [("a", "int32")]])
def test_refuses_arrays_of_other_dtypes(dtype):
    array = np.zeros((3, 2), dtype)
    message = re.escape(
        f"first dimension counts the examples. Received: ndarray of shape (3, 2) and dtype {array.dtype.name}"
    )
    with pytest.raises(ValueError, match=rf"`unlabeled` must be .* {message}"):
        checked_arrays(array, name="unlabeled")


@pytest.mark.parametrize("scalar", [np.zeros(()), tf.constant(1.0)], ids=["array", "tensor"])
def test_refuses_a_scalar(scalar):
    with pytest.raises(ValueError, match=r"`unlabeled` must be .* Received: \w+ of shape \(\) and dtype float"):
        checked_arrays(scalar, name="unlabeled")


def test_refuses_numbers_beyond_float32():
    message = (
        r"`labeled` must hold numbers that float32 can hold\. Received: an array of float64 with numbers up to "
        r"1e\+300\. Scale them\."
    )
    with pytest.raises(ValueError, match=message):
        checked_arrays(np.array([1.0, -1e300, np.nan]), name="labeled")


@pytest.mark.parametrize("keys", [[1, "a"], [None], [b"x"]])
def test_refuses_keys_that_are_no_strings(keys):
    message = re.escape(f"The dicts of `labeled` must have strings as keys. Received: keys {keys!r}.")
    with pytest.raises(ValueError, match=message):
        checked_arrays((dict.fromkeys(keys, X), Y), name="labeled")


@pytest.mark.parametrize("data", [(), {}, ((), {"a": ()})])
def test_refuses_a_structure_without_arrays(data):
    message = re.escape(f"`unlabeled` must hold at least one array. Received: {data!r}.")
    with pytest.raises(ValueError, match=message):
        checked_arrays(data, name="unlabeled")


@pytest.mark.parametrize(
    "dataset",
    [
        PAIRS.repeat(),
        PAIRS.repeat().filter(lambda x, y: y < 2),
        PAIRS.filter(lambda x, y: y < 2).repeat(),
        PAIRS.repeat().filter(lambda x, y: y < 0).shuffle(3),
    ],
    ids=["repeated", "repeated and filtered", "filtered and repeated", "repeated, filtered and shuffled"],
)
def test_refuses_a_data_set_without_end_also_behind_a_filter(dataset):
    message = r"`labeled` must be finite\. Received: a data set that repeats for ever\. Remove its `\.repeat\(\)`\."
    with pytest.raises(ValueError, match=message):
        check_dataset(dataset, name="labeled")


@pytest.mark.parametrize(
    "dataset",
    [
        PAIRS.filter(lambda x, y: y < 2),
        PAIRS.repeat().take(4),
        PAIRS.repeat().take_while(lambda x, y: y < 2),
        PAIRS.repeat().filter(lambda x, y: y < 2).take(3),
        tf.data.Dataset.from_generator(lambda: iter(X), output_signature=tf.TensorSpec(X.shape[1:])),
    ],
    ids=["filtered", "taken", "taken while", "filtered and taken", "of a generator"],
)
def test_takes_a_data_set_that_ends(dataset):
    check_dataset(dataset, name="labeled")


@pytest.mark.parametrize(
    ("dataset", "spec"),
    [
        (tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[1], [2, 3]])), "RaggedTensorSpec"),
        (PAIRS.map(lambda x, y: tf.sparse.from_dense(x)), "SparseTensorSpec"),
        (PAIRS.window(2), "DatasetSpec"),
        (PAIRS.map(lambda x, y: (x, None)), "NoneTensorSpec"),
    ],
)
def test_refuses_a_data_set_of_something_else_than_dense_tensors(dataset, spec):
    message = (
        rf"`unlabeled` must hold examples that are dense tensors\. Received: examples of the structure .*{spec}.*\. A "
        r"ragged tensor becomes dense by `x\.to_tensor\(shape=\.\.\.\)`, a sparse one by `tf\.sparse\.to_dense\(x\)`\."
    )
    with pytest.raises(ValueError, match=message):
        check_dataset(dataset, name="unlabeled")


def test_names_the_data_set_that_cannot_be_read():
    message = r"`labeled` must be a data set that can be read to its end\. Received: NotFoundError: .*/nowhere/at/all"
    with pytest.raises(ValueError, match=message):
        check_dataset(tf.data.TFRecordDataset("/nowhere/at/all"), name="labeled")


def test_other_errors_of_reading_stay_as_they_are():
    with pytest.raises(KeyError), reading("labeled"):
        raise KeyError("x")
