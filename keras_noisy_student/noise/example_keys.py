"""The keys of the examples in one call of an augmentation layer."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise import seeds


def example_keys(
    noise_seed: Any,
    seed_generator: keras.random.SeedGenerator,
    *,
    batch_shape: tf.TensorShape,
    num_examples: int | tf.Tensor,
) -> tf.Tensor:
    """Returns the keys that were given, or else draws new ones.

    Args:
        noise_seed: int64 keys of shape `batch_shape`, or `None`: keys of the generator's state and its count of calls.
        seed_generator: that of the layer.
        batch_shape: `(batch,)`, or `()` for a single example.
        num_examples: 1 for a single example.

    Returns:
        int64 tensor of shape `(num_examples,)`.

    Raises:
        ValueError: for keys that are no integers, or not one per example.

    Example:
        >>> shape = tf.TensorShape([])
        >>> example_keys(7, keras.random.SeedGenerator(0), batch_shape=shape, num_examples=1).numpy()
        array([7])
    """
    if noise_seed is None:
        state = seed_generator.next()
        return seeds.fold(seeds.fold(state[0], state[1]), tf.range(num_examples))
    keys = tf.convert_to_tensor(noise_seed)
    if not keys.dtype.is_integer or not keys.shape.is_compatible_with(batch_shape):
        raise ValueError(
            f"`noise_seed` must hold one int64 key per example, in a tensor of shape {batch_shape}. "
            f"Received: noise_seed of shape {keys.shape} and dtype {keys.dtype.name}."
        )
    return tf.reshape(tf.cast(keys, tf.int64), [-1])
