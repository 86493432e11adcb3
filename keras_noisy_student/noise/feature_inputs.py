"""What speech features look like: a tensor, or a dict of `"features"` and their `"length"`."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf


def check_feature_inputs(inputs: Any) -> None:
    """Checks the structure, ranks and dtypes of features, be they tensors or symbolic.

    Args:
        inputs: features `(batch, time, frequency)` or `(time, frequency)`, float; or a dict of `"features"` and
            `"length"`, the number of valid frames, integer `(batch,)` or `()`.

    Raises:
        ValueError: for anything else.

    Example:
        >>> check_feature_inputs({"features": tf.zeros((2, 100, 80)), "length": tf.constant([100, 70])})
    """
    if not isinstance(inputs, Mapping):
        _check_features(inputs)
        return
    if not {"features", "length"} <= inputs.keys():
        raise ValueError(
            'A dict of inputs must hold "features" and their "length", the number of valid frames. '
            f"Received: a dict of {sorted(inputs)}. If all frames are valid, pass the features alone."
        )
    _check_features(inputs["features"])
    _check_length(inputs["length"], tf.TensorShape(inputs["features"].shape)[:-2])


def _check_features(features: Any) -> None:
    shape, dtype = tf.TensorShape(features.shape), tf.as_dtype(features.dtype)
    if shape.rank not in (2, 3):
        raise ValueError(
            "Features must have shape `(batch, time, frequency)` or `(time, frequency)`. "
            f"Received: features of shape {shape}."
        )
    if not dtype.is_floating:
        raise ValueError(
            f"Features must be float. Received: features of dtype {dtype.name}. "
            'To resolve this, convert them with `tf.cast(features, "float32")`.'
        )


def _check_length(length: Any, batch_shape: tf.TensorShape) -> None:
    shape, dtype = tf.TensorShape(length.shape), tf.as_dtype(length.dtype)
    if not dtype.is_integer or not shape.is_compatible_with(batch_shape):
        raise ValueError(
            f'"length" must hold one integer per utterance, in a tensor of shape {batch_shape}. '
            f"Received: length of shape {shape} and dtype {dtype.name}."
        )
