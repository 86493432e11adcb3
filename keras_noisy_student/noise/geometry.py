"""The ops of RandAugment that move pixels, as affine warps of one uint8 image `(height, width, channels)`.

A matrix `(a, b, c, d, e, f)` sends the output pixel `(x, y)` to the source `(a x + b y - c, d x + e y - f)`. Outside
the image lies the level `fill`. The authors' released policy (Cubuk et al. 2019, arXiv 1909.13719) does the same by
`ImageProjectiveTransform`, which XLA does not compile. Offsets are subtracted, not added, because TensorFlow's graph
optimizer reorders sums (see `float32`).
"""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.noise.float32 import rounded_product
from keras_noisy_student.noise.per_image import Size


def rotation(degrees: Any, height: Size, width: Size) -> tf.Tensor:
    """Matrices `(..., 6)` that turn the image about its centre, anticlockwise, by angles of any shape."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    right, bottom = tf.cast(width - 1, tf.float32), tf.cast(height - 1, tf.float32)
    offset_x = (rounded_product(cosine, right) - rounded_product(sine, bottom) - right) / 2
    offset_y = (rounded_product(sine, right) + rounded_product(cosine, bottom) - bottom) / 2
    return _matrix(cosine, -sine, offset_x, sine, cosine, offset_y)


def shear_x(level: Any) -> tf.Tensor:
    """Matrices `(..., 6)` that move each row by `level` times its distance from the top."""
    return _matrix(1.0, level, 0.0, 0.0, 1.0, 0.0)


def shear_y(level: Any) -> tf.Tensor:
    """Matrices `(..., 6)` that move each column by `level` times its distance from the left."""
    return _matrix(1.0, 0.0, 0.0, level, 1.0, 0.0)


def translation_x(pixels: Any) -> tf.Tensor:
    """Matrices `(..., 6)` that move the image: the source is `x + pixels`."""
    return _matrix(1.0, 0.0, -pixels, 0.0, 1.0, 0.0)


def translation_y(pixels: Any) -> tf.Tensor:
    """Matrices `(..., 6)` that move the image: the source is `y + pixels`."""
    return _matrix(1.0, 0.0, 0.0, 0.0, 1.0, -pixels)


def nearest_positions(matrix: tf.Tensor, height: Size, width: Size) -> tf.Tensor:
    """Where each output pixel is taken from, for `take_pixels`: the source, rounded to the nearest pixel.

    Args:
        matrix: float32 `(6,)`.
        height: of the image.
        width: of the image.

    Returns:
        int32 `(height, width)`: `row * width + column`, or `height * width` for a source outside the image.
    """
    x, y = _sources(matrix, height, width)
    return _positions(_nearest(x), _nearest(y), height, width)


def take_pixels(image: tf.Tensor, positions: tf.Tensor, *, fill: int) -> tf.Tensor:
    """Takes each output pixel from its position in the image, or `fill` where that is one past the last pixel."""
    num_channels = image.shape[-1]
    # Flat, because XLA copies one long row at once, but an image pixel by pixel.
    levels = tf.concat([tf.reshape(image, [-1]), tf.fill([num_channels], tf.constant(fill, tf.uint8))], 0)
    return tf.ensure_shape(tf.gather(tf.reshape(levels, [-1, num_channels]), positions), image.shape)


def interpolate_pixels(image: tf.Tensor, matrix: tf.Tensor, *, fill: int) -> tf.Tensor:
    """Blends each output pixel from the four pixels around its source, by their distance in 1/256 of a pixel."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    x, y = _sources(matrix, height, width)
    left, top = _floor(x), _floor(y)
    weight_of_right, weight_of_bottom = _fraction(x), _fraction(y)

    def levels(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return tf.cast(take_pixels(image, _positions(column, row, height, width), fill=fill), tf.int32)

    above = 256 * levels(top, left) + weight_of_right * (levels(top, left + 1) - levels(top, left))
    below = 256 * levels(top + 1, left) + weight_of_right * (levels(top + 1, left + 1) - levels(top + 1, left))
    blended = 256 * above + weight_of_bottom * (below - above)
    return tf.cast(tf.bitwise.right_shift(blended + 2**15, 16), tf.uint8)


def _matrix(*entries: Any) -> tf.Tensor:
    tensors = [tf.cast(entry, tf.float32) for entry in entries]
    shape = functools.reduce(tf.broadcast_dynamic_shape, [tf.shape(tensor) for tensor in tensors])
    return tf.stack([tf.broadcast_to(tensor, shape) for tensor in tensors], -1)


def _sources(matrix: tf.Tensor, height: Size, width: Size) -> tuple[tf.Tensor, tf.Tensor]:
    """The source coordinates x and y of every output pixel, float32 `(height, width)`."""
    columns = tf.cast(tf.range(width), tf.float32)
    rows = tf.cast(tf.range(height), tf.float32)

    def source(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
        return rounded_product(a, columns)[None, :] + rounded_product(b, rows)[:, None] - c

    return source(*tf.unstack(matrix[:3])), source(*tf.unstack(matrix[3:]))


def _positions(column: tf.Tensor, row: tf.Tensor, height: Size, width: Size) -> tf.Tensor:
    is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return tf.where(is_inside, row * width + column, height * width)


def _nearest(source: tf.Tensor) -> tf.Tensor:
    """Rounds to the nearest integer, -0.5 to -1 as TensorFlow's `ImageProjectiveTransform` does."""
    return tf.where(source == -0.5, -1, _floor(source + 0.5))


def _floor(source: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.floor(source), tf.int32)


def _fraction(source: tf.Tensor) -> tf.Tensor:
    """The fractional part in units of 1/256, rounded; int32 `(height, width, 1)`."""
    return _floor((source - tf.floor(source)) * 256 + 0.5)[..., None]
