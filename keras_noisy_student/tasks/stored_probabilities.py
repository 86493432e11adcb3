"""Probabilities as the store keeps them: float16 logarithms, which a temperature above 1 can bring back when small.

Up to 64 classes all of them; above, those of the 64 most likely classes, these classes, and the mean of the others.
"""

from collections.abc import Mapping

import tensorflow as tf

MAX_STORED_CLASSES = 64

Encoded = dict[str, tf.Tensor]
"""Tensors `(batch, width)` by name."""


def encode(probabilities: tf.Tensor) -> Encoded:
    """Packs probabilities `(batch, num_classes)` into the tensors that the store keeps, each `(batch, stored)`."""
    if probabilities.shape[-1] <= MAX_STORED_CLASSES:
        return {"log_probabilities": _float16_logarithm(probabilities)}
    largest, classes = tf.math.top_k(probabilities, MAX_STORED_CLASSES)
    rest = tf.maximum(1 - tf.reduce_sum(largest, axis=-1, keepdims=True), 0)
    return {
        "log_probabilities": _float16_logarithm(largest),
        "classes": classes,
        "mean_of_rest": rest / (probabilities.shape[-1] - MAX_STORED_CLASSES),
    }


def decode(encoded: Mapping[str, tf.Tensor], num_classes: int) -> tf.Tensor:
    """Inverse of `encode`: float32 probabilities `(batch, num_classes)`, each row summing to one."""
    probabilities = tf.exp(tf.cast(encoded["log_probabilities"], tf.float32))
    if "classes" not in encoded:
        return _normalize(probabilities)
    rows = tf.broadcast_to(tf.range(tf.shape(probabilities)[0])[:, None], tf.shape(probabilities))
    places = tf.stack([rows, encoded["classes"]], axis=-1)
    rest = tf.repeat(encoded["mean_of_rest"], num_classes, axis=1)
    return _normalize(tf.tensor_scatter_nd_update(rest, places, probabilities))


def _normalize(probabilities: tf.Tensor) -> tf.Tensor:
    return probabilities / tf.reduce_sum(probabilities, axis=-1, keepdims=True)


def _float16_logarithm(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.math.log(probabilities), tf.float16)
