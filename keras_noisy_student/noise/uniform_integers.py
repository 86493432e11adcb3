"""Integers out of uniform numbers."""

import tensorflow as tf


def uniform_integers(draws: tf.Tensor, sizes: tf.Tensor | int) -> tf.Tensor:
    """Maps numbers that are uniform in [0, 1) to integers that are uniform in {0, ..., `sizes - 1`}.

    Args:
        draws: float32 tensor, as `seeds.uniform` returns it.
        sizes: int32 tensor of numbers from 1 on that broadcasts, or such a number.

    Returns:
        int32 tensor.

    Example:
        >>> uniform_integers(tf.constant([0.0, 0.49, 0.5, 0.99]), 2).numpy()
        array([0, 0, 1, 1], dtype=int32)
    """
    return tf.cast(draws * tf.cast(sizes, tf.float32), tf.int32)
