"""Predictions: the class that a model, or any other function of images, finds most likely."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.evaluation.image_batches import batches, checked_images, checked_labels

Predictor = Callable[[Any], Any]
"""A Keras model, or a function, from images `(batch, height, width, channels)` to numbers `(batch, num_classes)`."""


def predicted_classes(model: Predictor, images: Any, *, batch_size: int) -> np.ndarray:
    """The most likely class of each image, int64 `(images,)`.

    Args:
        model: a Keras model, which is run in inference mode, or a function, from images to numbers
            `(batch, num_classes)` of which the largest one decides: probabilities or logits.
        images: see `checked_images`.
        batch_size: images at a time.

    Raises:
        ValueError: for outputs of another shape or NaN among them, or for other images.
    """
    return classes_of_batches(inference(model), batches(checked_images(images), batch_size=batch_size))


def inference(model: Predictor) -> Predictor:
    """A Keras model in inference mode, as a function that is traced once for all batches; a function as it is.

    Not `predict_on_batch`, which returns a batch once for each replica where the model belongs to several.
    """
    if not isinstance(model, keras.Model):
        return model

    @tf.function(autograph=False, reduce_retracing=True)
    def infer(images: tf.Tensor) -> Any:
        return model(images, training=False)

    infer_in_graph: Predictor = infer
    return infer_in_graph


def classes_of_batches(function: Predictor, images: Iterable[Any]) -> np.ndarray:
    """The most likely class of each image of some batches, int64 `(images,)`, by what `inference` returned."""
    return np.concatenate([_classes(function(batch), len(batch)) for batch in images])


def error_rate(model: Predictor, images: Any, labels: Any, *, batch_size: int) -> float:
    """The share of images, in [0, 1], whose most likely class is not their label.

    Raises:
        ValueError: where the numbers of images and labels differ, or for what `predicted_classes` refuses.
    """
    labels = checked_labels(labels)
    classes = predicted_classes(model, images, batch_size=batch_size)
    if len(classes) != len(labels):
        raise ValueError(f"`labels` must be one per image. Received: {len(labels)} labels for {len(classes)} images.")
    return float(np.mean(classes != labels))


def _classes(outputs: Any, num_images: int) -> np.ndarray:
    outputs = keras.ops.convert_to_numpy(outputs)
    if outputs.ndim != 2 or len(outputs) != num_images:
        raise ValueError(
            f"`model` must return (batch, num_classes) for a batch of images. Received: shape {outputs.shape} for "
            f"{num_images} images."
        )
    if np.isnan(outputs).any():
        raise ValueError(
            "`model` must return numbers, of which the largest decides. Received: NaN. Look for weights or inputs "
            "that are not finite."
        )
    classes: np.ndarray = np.argmax(outputs, axis=-1)
    return classes
