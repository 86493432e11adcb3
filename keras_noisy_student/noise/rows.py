"""Images as rows of levels.

XLA on the CPU copies and computes `(height, width * channels)` by whole vectors, but `(height, width, channels)` 3
levels at a time. The memory is the same, so that neither way costs anything.
"""

import tensorflow as tf


def as_rows(image: tf.Tensor) -> tf.Tensor:
    """`(height, width, channels)` to `(height, width * channels)`."""
    height, width, num_channels = image.shape
    if height is None or width is None:
        return tf.reshape(image, [tf.shape(image)[0], tf.shape(image)[1] * num_channels])
    return tf.reshape(image, [height, width * num_channels])
