"""The mean of an utterance, whatever the order of the sum."""

import tensorflow as tf

_EXPONENT_BITS = 0x7F800000


def valid_mean(features: tf.Tensor, is_valid: tf.Tensor) -> tf.Tensor:
    """Returns the mean over the valid frames and all bins of each utterance, or 0 if no frame is valid.

    A sum of floats depends on its order, which differs between eager mode, a plain graph and XLA. So the values are
    first rounded to whole steps, of which the largest value in size holds at least 2^22, and the steps are added as
    integers.

    Args:
        features: float `(batch, time, frequency)`.
        is_valid: bool `(batch, time)`.

    Returns:
        float32 `(batch,)`.

    Example:
        >>> features = tf.constant([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
        >>> valid_mean(features, tf.constant([[True, True, False]])).numpy()
        array([2.5], dtype=float32)
    """
    values = tf.where(is_valid[:, :, None], tf.cast(features, tf.float32), 0.0)
    largest = tf.reduce_max(tf.abs(values), axis=[1, 2], keepdims=True)
    step = _power_of_two_up_to(largest) * 2.0**-22
    # int32 on the way: XLA vectorizes either conversion, but not the one from float32 to int64 (twice the time in all).
    steps = tf.cast(tf.round(tf.math.divide_no_nan(values, step)), tf.int32)
    total = tf.reduce_sum(tf.cast(steps, tf.int64), axis=[1, 2])
    num_values = tf.reduce_sum(tf.cast(is_valid, tf.int32), axis=1) * tf.shape(features)[2]
    mean = tf.cast(total, tf.float64) / tf.cast(tf.maximum(num_values, 1), tf.float64)
    return tf.cast(mean * tf.cast(step[:, 0, 0], tf.float64), tf.float32)


def _power_of_two_up_to(numbers: tf.Tensor) -> tf.Tensor:
    """Clears the mantissa of float32 numbers from 0 on; 0 stays 0."""
    return tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(numbers, tf.int32), _EXPONENT_BITS), tf.float32)
