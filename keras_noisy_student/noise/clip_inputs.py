"""What clips look like: tensors of images over time."""

from typing import Any

import tensorflow as tf


def check_clips(clips: Any) -> None:
    """Checks the rank of clips, be they a tensor or symbolic.

    Args:
        clips: `(batch, time, height, width, channels)` or `(time, height, width, channels)`.

    Raises:
        ValueError: for another rank.

    Example:
        >>> check_clips(tf.zeros((2, 16, 32, 32, 3)))
    """
    shape = tf.TensorShape(clips.shape)
    if shape.rank not in (4, 5):
        raise ValueError(
            "`clips` must have shape `(batch, time, height, width, channels)` or `(time, height, width, channels)`. "
            f"Received: clips of shape {shape}."
        )
