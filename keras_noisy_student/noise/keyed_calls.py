"""Calls of an augmentation by keys: whether it takes them, and how a Keras layer that does not is made to."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise.mask_seeds import seed_states, seed_variables


def takes_noise_seed(augmentation: Callable[..., Any]) -> bool:
    """Whether an augmentation draws its noise by the keys of the examples.

    Example:
        >>> takes_noise_seed(RandAugment()), takes_noise_seed(keras.layers.RandomFlip())
        (True, False)
    """
    function = augmentation.call if isinstance(augmentation, keras.Layer) else augmentation
    try:
        return "noise_seed" in inspect.signature(function).parameters
    except ValueError:
        # A function written in C may say nothing of its arguments.
        return False


def as_float(tensor: tf.Tensor) -> tf.Tensor:
    """Keras layers compute in floating point, and most of them refuse uint8."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.is_integer else tensor


def call_by_keys(layer: keras.Layer, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Calls a Keras layer on one image at a time, its seed generators in the state that the key of the image says.

    Images of one key get the same noise. The generators themselves are neither read nor written, so that parallel calls
    in a tf.data pipeline do not disturb each other. Keras draws other numbers under XLA than without.

    Args:
        layer: built, all of whose random numbers come from its seed generators.
        images: `(batch, height, width, channels)`.
        keys: int64 `(batch,)`.

    Returns:
        What the layer returns for the batch in training mode, of its own dtype.

    Example:
        >>> images = tf.reshape(tf.range(24.0), (3, 2, 4, 1))
        >>> noised = call_by_keys(keras.layers.GaussianNoise(1.0), images, tf.constant([5, 6, 5], tf.int64)) - images
        >>> bool(tf.reduce_all(tf.abs(noised[0] - noised[2]) < 1e-5)), bool(tf.reduce_all(noised[0] == noised[1]))
        (True, False)
    """
    images = as_float(images)
    variables = seed_variables(layer)
    output = layer.compute_output_spec(keras.KerasTensor((1, *images.shape[1:]), dtype=images.dtype.name))

    def call_on_one(example: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, key = example
        states = zip(variables, seed_states(variables, key), strict=True)
        with keras.StatelessScope(state_mapping=list(states)):
            return layer(image[None], training=True)[0]

    return tf.map_fn(call_on_one, (images, keys), fn_output_signature=tf.TensorSpec(output.shape[1:], output.dtype))
