"""What a user may give as data: arrays, or a finite `tf.data.Dataset`, checked before anything is made of them."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf


def checked_arrays(data: Any, *, name: str) -> Any:
    """NumPy arrays and tensors of one length, nested in tuples and dicts; float64 arrays become float32.

    Raises:
        ValueError: for anything else, numbers beyond float32, or arrays without a row.
    """
    _check_structure(data, name)
    arrays = tf.nest.map_structure(lambda array: _checked_array(array, name), data)
    lengths = {len(array) for array in tf.nest.flatten(arrays)}
    if not lengths:
        raise ValueError(f"`{name}` must hold at least one array. Received: {data!r}.")
    if len(lengths) != 1:
        raise ValueError(f"The arrays of `{name}` must have the same length. Received: lengths {sorted(lengths)}.")
    if lengths == {0}:
        raise ValueError(f"`{name}` must hold at least one example. Received: arrays of length 0.")
    return arrays


def check_dataset(dataset: tf.data.Dataset, *, name: str) -> None:
    """Raises a `ValueError` for a data set that has no end, no example or no tensors, or cannot be read."""
    check_elements(dataset, name=name)
    with reading(name):
        is_empty = not list(dataset.take(1))
    if is_empty:
        raise ValueError(f"`{name}` must hold at least one example. Received: an empty data set.")


def check_elements(dataset: tf.data.Dataset, *, name: str) -> None:
    """Raises a `ValueError` for a data set that has no end or no tensors, without reading it."""
    if _is_infinite(dataset):
        raise ValueError(
            f"`{name}` must be finite. Received: a data set that repeats for ever. Remove its `.repeat()`."
        )
    specs = tf.nest.flatten(dataset.element_spec)
    if not specs or not all(isinstance(spec, tf.TensorSpec) for spec in specs):
        raise ValueError(
            f"`{name}` must hold examples that are dense tensors. Received: examples of the structure "
            f"{dataset.element_spec}. A ragged tensor becomes dense by `x.to_tensor(shape=...)`, a sparse one by "
            "`tf.sparse.to_dense(x)`."
        )


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns what TensorFlow raises where a data set fails into a `ValueError` that says which data set it was."""
    try:
        yield
    except tf.errors.OpError as error:
        raise ValueError(
            f"`{name}` must be a data set that can be read to its end. Received: {type(error).__name__}: "
            f"{error.message}"
        ) from error


def _check_structure(data: Any, name: str) -> None:
    """Refuses a list anywhere, of which tf.data makes one tensor and `tf.nest` a structure, and keys without order."""
    if isinstance(data, list):
        raise ValueError(
            f"`{name}` must be a tf.data.Dataset of unbatched examples, or NumPy arrays or tensors whose first "
            "dimension counts the examples. Received: a list. Make it an array with `np.asarray`; a pair of arrays is "
            "a tuple (x, y)."
        )
    if isinstance(data, Mapping):
        if not all(isinstance(key, str) for key in data):
            raise ValueError(f"The dicts of `{name}` must have strings as keys. Received: keys {list(data)!r}.")
        data = tuple(data.values())
    if isinstance(data, tuple):
        for item in data:
            _check_structure(item, name)


def _checked_array(array: Any, name: str) -> np.ndarray | tf.Tensor:
    if not isinstance(array, np.ndarray | tf.Tensor) or not _is_tensor_dtype(array.dtype) or not len(array.shape):
        raise ValueError(
            f"`{name}` must be a tf.data.Dataset of unbatched examples, or NumPy arrays or tensors whose first "
            f"dimension counts the examples. Received: {_described(array)}.{_fix(array)}"
        )
    return _as_float32(array, name) if array.dtype == np.float64 and isinstance(array, np.ndarray) else array


def _is_tensor_dtype(dtype: Any) -> bool:
    """Whether TensorFlow has such a dtype. It takes arrays of objects for strings, whatever the objects are."""
    try:
        tf.as_dtype(dtype)
    except TypeError:
        return False
    return not getattr(dtype, "hasobject", False)


def _as_float32(array: np.ndarray, name: str) -> np.ndarray:
    try:
        with np.errstate(over="raise"):
            return array.astype(np.float32)
    except FloatingPointError as error:
        raise ValueError(
            f"`{name}` must hold numbers that float32 can hold. Received: an array of float64 with numbers up to "
            f"{np.nanmax(np.abs(array)):.3g}. Scale them."
        ) from error


def _described(array: Any) -> str:
    if isinstance(array, np.ndarray | tf.Tensor):
        return f"{type(array).__name__} of shape {tuple(array.shape)} and dtype {getattr(array.dtype, 'name', None)}"
    return type(array).__name__


def _fix(array: Any) -> str:
    return " Make it an array with `.to_numpy()`." if hasattr(array, "to_numpy") else ""


def _is_infinite(dataset: tf.data.Dataset) -> bool:
    """Also where a filter after `.repeat()` makes tf.data say that it does not know the number of examples.

    A generator without end cannot be told from one that ends.
    """
    while dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY and _ends_with_its_input(dataset):
        dataset = dataset._inputs()[0]
    is_infinite: bool = dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    return is_infinite


def _ends_with_its_input(dataset: tf.data.Dataset) -> bool:
    return len(dataset._inputs()) == 1 and "Take" not in type(dataset).__name__
