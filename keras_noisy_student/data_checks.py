"""Checks of the user's data, each of them before anything is trained."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.given_data import reading
from keras_noisy_student.sources.concatenated_source import ConcatenatedSource
from keras_noisy_student.sources.given_source import as_source, sharded_source
from keras_noisy_student.sources.source import Source
from keras_noisy_student.tasks.task import Task


def labeled_source(data: Any, task: Task, *, name: str) -> Source:
    """Wraps `(x, y)` examples and checks their structure, and the task the shape of their labels.

    Raises:
        ValueError: when the data set is not made of pairs, is batched, or has no static shape.
    """
    source = as_source(data, name=name)
    spec = source.element_spec
    # A named tuple reaches the functions of tf.data as one argument.
    if type(spec) is not tuple or len(spec) != 2:
        raise ValueError(
            f"`{name}` must hold examples (x, y): a pair of arrays, or a tf.data.Dataset of pairs. Received: examples "
            f"of the structure {spec}.{_fix_of_structure(spec)}"
        )
    x_spec, y_spec = spec
    if not tf.nest.flatten(x_spec):
        raise ValueError(
            f"The `x` of `{name}` must hold at least one tensor. Received: examples of the structure {spec}."
        )
    task.check_label_spec(y_spec, name=name)
    _check_static(x_spec, name)
    return source


def same_examples_source(data: Any, labeled_spec: Any, *, name: str, num_shards: int | None = None) -> Source:
    """Wraps unlabelled examples and checks that they look like the labelled ones.

    Args:
        data: arrays or an unbatched data set of `x`, a function `(num_shards, shard)` that returns one, or a list of
            these.
        labeled_spec: the spec of a labelled `x`.
        name: of the argument, for the error.
        num_shards: for such a function; neither one nor a list is taken where it is `None`.

    Raises:
        ValueError: when structure, shape or dtype differ.
    """
    if num_shards is not None and isinstance(data, list):
        if not data:
            raise ValueError(f"`{name}` given as a list must hold at least one pool of examples. Received: [].")
        names = [f"{name}[{place}]" for place in range(len(data))]
        return ConcatenatedSource(
            [_same_examples(pool, labeled_spec, each, num_shards) for pool, each in zip(data, names, strict=True)]
        )
    return _same_examples(data, labeled_spec, name, num_shards)


def _same_examples(data: Any, labeled_spec: Any, name: str, num_shards: int | None) -> Source:
    if num_shards is not None and callable(data):
        source: Source = sharded_source(data, num_shards=num_shards, name=name)
    else:
        source = as_source(data, name=name)
    _check_same(source.element_spec, labeled_spec, name)
    return source


def read_labels(source: Source, task: Task, *, name: str) -> np.ndarray:
    """Reads all labels once and has the task check them.

    Args:
        source: of `(x, y)`.
        task: what a label is.
        name: of the argument, for the error.

    Returns:
        Integer array `(examples, ...)`.

    Raises:
        ValueError: when they cannot be read, or a label is out of range.
    """
    with reading(name):
        labels = np.concatenate([y.numpy() for _, y in source.batches(1024)])
    task.check_labels(labels)
    return labels


def evaluation_source(data: Any, labeled_spec: Any, task: Task, *, name: str) -> Source:
    """Wraps labelled data to evaluate on, and checks that its examples look like those of the training.

    Raises:
        ValueError: when they do not, or a label is out of range.
    """
    source = labeled_source(data, task, name=name)
    _check_same(source.element_spec[0], labeled_spec, name)
    labels = read_labels(source, task, name=name)
    if not isinstance(data, tf.data.Dataset):
        return source
    # Keras warns when it does not know beforehand how many batches there are.
    return as_source(data.apply(tf.data.experimental.assert_cardinality(len(labels))), name=name)


def _fix_of_structure(spec: Any) -> str:
    return " A named tuple becomes a pair by `tuple(example)`." if hasattr(spec, "_fields") else ""


def _check_static(spec: Any, name: str) -> None:
    if not all(part.shape.is_fully_defined() for part in tf.nest.flatten(spec)):
        raise ValueError(
            f"The examples of `{name}` must have a static shape. Received: {spec}. If the data set is batched, call "
            "`.unbatch()` on it; else resize the examples, or state their shape with `tf.ensure_shape`."
        )


def _signature(spec: Any) -> Any:
    return tf.nest.map_structure(lambda part: (str(part.shape), part.dtype.name), spec)


def _check_same(spec: Any, labeled_spec: Any, name: str) -> None:
    if _signature(spec) == _signature(labeled_spec):
        return
    fix = "Resize and cast both alike before you pass them."
    if isinstance(spec, tuple):
        fix = f"If `{name}` has labels, drop them: `dataset.map(lambda x, y: x)`."
    elif _is_batch_of(spec, labeled_spec):
        fix = f"If `{name}` is batched, call `.unbatch()` on it."
    elif _is_batch_of(labeled_spec, spec):
        fix = f"If `{name}` is one example, make one array of all of them with `np.stack`."
    raise ValueError(
        f"`{name}` must hold examples of the same structure, shape and dtype as the labelled ones: {labeled_spec}. "
        f"Received: {spec}. {fix}"
    )


def _is_batch_of(spec: Any, example_spec: Any) -> bool:
    are_tensors = isinstance(spec, tf.TensorSpec) and isinstance(example_spec, tf.TensorSpec)
    return are_tensors and bool(spec.shape.rank) and spec.shape[1:].is_compatible_with(example_spec.shape)
