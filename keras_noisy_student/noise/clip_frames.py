"""Clips as batches of frames, and back."""

import tensorflow as tf


def as_frames(clips: tf.Tensor) -> tf.Tensor:
    """`(batch, time, height, width, channels)` or without `batch` to `(frames, height, width, channels)`.

    Example:
        >>> as_frames(tf.zeros((2, 5, 8, 8, 3))).shape
        TensorShape([10, 8, 8, 3])
    """
    return tf.reshape(clips, [-1, *_sizes(clips)[-3:]])


def as_clips(frames: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """`(frames, ...)`, such as images or features, to the batch and time of the clips `like`.

    Example:
        >>> as_clips(tf.zeros((10, 64)), like=tf.zeros((2, 5, 8, 8, 3))).shape
        TensorShape([2, 5, 64])
    """
    return tf.reshape(frames, [*_sizes(like)[:-3], *_sizes(frames)[1:]])


def _sizes(tensor: tf.Tensor) -> list[int | tf.Tensor]:
    """Plain numbers where they are known, so that the shape stays known."""
    sizes = tf.unstack(tf.shape(tensor))
    return [size if known is None else known for known, size in zip(tensor.shape, sizes, strict=True)]
