"""The teacher's probabilities as targets: how they are stored, and how they become soft or hard labels.

Up to 64 classes every probability is stored, as float16. Above, the 64 largest of them and their classes; what is
missing to a sum of one is spread evenly over the other classes when the target is read.
"""

from collections.abc import Mapping

import tensorflow as tf

from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling

MAX_STORED_CLASSES = 64

Encoded = dict[str, tf.Tensor]


def encode(probabilities: tf.Tensor) -> Encoded:
    """Packs probabilities `(batch, num_classes)` into the tensors that the store keeps, each `(batch, stored)`."""
    if probabilities.shape[-1] <= MAX_STORED_CLASSES:
        return {"probabilities": tf.cast(probabilities, tf.float16)}
    largest, classes = tf.math.top_k(probabilities, MAX_STORED_CLASSES)
    return {"probabilities": tf.cast(largest, tf.float16), "classes": classes}


def decode(encoded: Mapping[str, tf.Tensor], num_classes: int) -> tf.Tensor:
    """Inverse of `encode`: float32 probabilities `(batch, num_classes)`, each row summing to one."""
    probabilities = tf.cast(encoded["probabilities"], tf.float32)
    if "classes" not in encoded:
        return _normalize(probabilities)
    missing = tf.maximum(1 - tf.reduce_sum(probabilities, axis=-1, keepdims=True), 0)
    share = missing / (num_classes - MAX_STORED_CLASSES)
    indicator = tf.one_hot(encoded["classes"], num_classes)
    stored = tf.einsum("bk,bkc->bc", probabilities, indicator)
    is_stored = tf.reduce_sum(indicator, axis=1)
    return _normalize(stored + (1 - is_stored) * share)


def training_targets(row: Mapping[str, tf.Tensor], pseudo_labeling: PseudoLabeling, num_classes: int) -> tf.Tensor:
    """Rows of the store as targets: int32 class ids `(batch,)`, or float32 distributions `(batch, num_classes)`."""
    if pseudo_labeling.labels == "hard":
        return tf.squeeze(row["class_id"], axis=-1)
    return soft_labels(decode(row, num_classes), pseudo_labeling.temperature)


def soft_labels(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    """`p**(1 / temperature)`, renormalised: `softmax(z / temperature)` where `p = softmax(z)`."""
    if temperature == 1:
        return probabilities
    # Dividing by the largest first keeps a low temperature from underflowing to 0 / 0.
    relative = probabilities / tf.reduce_max(probabilities, axis=-1, keepdims=True)
    return _normalize(relative ** (1 / temperature))


def _normalize(probabilities: tf.Tensor) -> tf.Tensor:
    return probabilities / tf.reduce_sum(probabilities, axis=-1, keepdims=True)
