"""float32 arithmetic with the same bits in eager mode, in a plain graph and under XLA.

Two rewrites change them: XLA fuses `a * b + c` into one multiply-add that skips the rounding of the product, and
TensorFlow's graph optimizer reorders nested sums. Where the result is truncated to a pixel level, that moves up to 0.3%
of the levels by one.
"""

import tensorflow as tf


def rounded_product(factor: tf.Tensor | float, integers: tf.Tensor) -> tf.Tensor:
    """Returns `factor * integers`, rounded to float32 exactly once, whatever it is added to.

    `factor` is split into `high + low` of 12 significant bits each (Veltkamp's split). Both products are exact then,
    and only the last operation rounds, fused or not. It is a difference, because differences are not reordered.

    Args:
        factor: a number, or a tensor that broadcasts.
        integers: float32 tensor of integers below 4096 in size.
    """
    factor = tf.cast(factor, tf.float32)
    high = tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(factor, tf.int32), ~0xFFF), tf.float32)
    minus_low = high - factor
    return high * integers - minus_low * integers
