"""Bilinear resizing of a window of an image, in whole numbers, so that every kind of graph gives the same pixels."""

from typing import NamedTuple

import tensorflow as tf

from keras_noisy_student.noise.per_image import Size


class Window(NamedTuple):
    """A part of an image; int32 scalars."""

    top: Size
    left: Size
    height: Size
    width: Size


def resize_window(image: tf.Tensor, window: Window, *, height: int, width: int) -> tf.Tensor:
    """Resizes a window of a uint8 image to `(height, width, channels)`.

    As `tf.image.resize` without antialiasing does, with sources rounded down to 1/256 of a pixel.
    """
    num_channels = image.shape[-1]
    row, next_row, weight_of_next_row = _sources(window.top, window.height, height)
    column, next_column, weight_of_next_column = _sources(window.left, window.width, width)
    levels = tf.cast(image, tf.int32)
    rows = _blend(tf.gather(levels, row), tf.gather(levels, next_row), weight_of_next_row[:, None, None])
    blended = _blend(
        tf.gather(rows, column, axis=1), tf.gather(rows, next_column, axis=1), weight_of_next_column[None, :, None]
    )
    resized = tf.cast(tf.bitwise.right_shift(blended + 2**15, 16), tf.uint8)
    return tf.ensure_shape(resized, [height, width, num_channels])


def _sources(start: Size, size: Size, output_size: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """For each output place: the source before it, the one after it, and the weight of that, 0 to 255."""
    places = tf.range(output_size, dtype=tf.int64)
    size = tf.cast(size, tf.int64)
    # Pixels lie at the middle of their places: the source of `place` is (place + 1/2) size / output_size - 1/2.
    sources = (2 * places + 1) * 256 * size // (2 * output_size) - 128
    sources = tf.cast(tf.clip_by_value(sources, 0, (size - 1) * 256), tf.int32)
    before, last = sources // 256, tf.cast(size, tf.int32) - 1
    return start + before, start + tf.minimum(before + 1, last), sources % 256


def _blend(before: tf.Tensor, after: tf.Tensor, weight_of_after: tf.Tensor) -> tf.Tensor:
    """256 times the blend."""
    return 256 * before + weight_of_after * (after - before)
