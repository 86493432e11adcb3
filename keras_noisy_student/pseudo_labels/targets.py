"""The teacher's probabilities as targets: how they are stored, and how they become soft or hard labels.

Stored are float16 logarithms, which keep small probabilities too: a temperature above 1 brings them back. Up to 64
classes all of them; above, those of the 64 most likely classes, these classes, and the mean probability of the others.
"""

from collections.abc import Mapping

import tensorflow as tf

from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.tasks.task import Annotation

MAX_STORED_CLASSES = 64

Encoded = dict[str, tf.Tensor]


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


def training_targets(row: Mapping[str, tf.Tensor], pseudo_labeling: PseudoLabeling, num_classes: int) -> tf.Tensor:
    """Rows of the store as targets: int32 class ids `(batch,)`, or float32 distributions `(batch, num_classes)`."""
    if pseudo_labeling.labels == "hard":
        return tf.squeeze(row["class_id"], axis=-1)
    return soft_labels(decode(row, num_classes), pseudo_labeling.temperature)


def annotated_targets(annotation: Annotation, pseudo_labeling: PseudoLabeling) -> tf.Tensor:
    """An annotation as targets: int32 class ids `(batch,)`, or float32 distributions `(batch, num_classes)`."""
    if pseudo_labeling.labels == "hard":
        return annotation.class_id
    return soft_labels(annotation.probabilities, pseudo_labeling.temperature)


def soft_labels(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    """`p**(1 / temperature)`, renormalised: `softmax(z / temperature)` where `p = softmax(z)`."""
    if temperature == 1:
        return probabilities
    return ProbabilityMap(power=1 / temperature)(probabilities)


def _normalize(probabilities: tf.Tensor) -> tf.Tensor:
    return probabilities / tf.reduce_sum(probabilities, axis=-1, keepdims=True)


def _float16_logarithm(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.math.log(probabilities), tf.float16)
