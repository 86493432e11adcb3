"""The ops of RandAugment that move pixels, as affine warps of one uint8 image `(height, width, channels)`.

A matrix `(a, b, c, d, e, f)` sends the output pixel `(x, y)` to the source `(a x + b y - c, d x + e y - f)`. The source
is rounded to the nearest pixel; outside the image it is grey (128). The authors' released policy (Cubuk et al. 2019,
arXiv 1909.13719) does the same by `ImageProjectiveTransform`, which XLA does not compile. Offsets are subtracted, not
added, because TensorFlow's graph optimizer reorders sums (see `float32`).
"""

import math
from typing import TypeAlias

import tensorflow as tf

from keras_noisy_student.noise.float32 import rounded_product
from keras_noisy_student.noise.image_ops import FILL_LEVEL

Number: TypeAlias = float | tf.Tensor


def affine(image: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Warps the image by a float32 matrix of shape `(6,)`."""
    height, width, num_channels = tf.unstack(tf.shape(image))
    source_x = _source(matrix[:3], height, width)
    source_y = _source(matrix[3:], height, width)
    inside = _is_inside(source_x, width) & _is_inside(source_y, height)
    positions = tf.where(inside, _nearest(source_y) * width + _nearest(source_x), height * width)
    fill = tf.fill([1, num_channels], tf.constant(FILL_LEVEL, tf.uint8))
    pixels = tf.concat([tf.reshape(image, [-1, num_channels]), fill], 0)
    return tf.ensure_shape(tf.gather(pixels, positions), image.shape)


def rotation(degrees: float, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Turns the image about its centre, anticlockwise."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    right, bottom = tf.cast(width - 1, tf.float32), tf.cast(height - 1, tf.float32)
    offset_x = (rounded_product(cosine, right) - rounded_product(sine, bottom) - right) / 2
    offset_y = (rounded_product(sine, right) + rounded_product(cosine, bottom) - bottom) / 2
    return _matrix(cosine, -sine, offset_x, sine, cosine, offset_y)


def shear_x(level: float) -> tf.Tensor:
    """Moves each row by `level` times its distance from the top: the source is `x + level * y`."""
    return _matrix(1.0, level, 0.0, 0.0, 1.0, 0.0)


def shear_y(level: float) -> tf.Tensor:
    """Moves each column by `level` times its distance from the left: the source is `y + level * x`."""
    return _matrix(1.0, 0.0, 0.0, level, 1.0, 0.0)


def translation_x(pixels: Number) -> tf.Tensor:
    """Moves the image: the source is `x + pixels`."""
    return _matrix(1.0, 0.0, -pixels, 0.0, 1.0, 0.0)


def translation_y(pixels: Number) -> tf.Tensor:
    """Moves the image: the source is `y + pixels`."""
    return _matrix(1.0, 0.0, 0.0, 0.0, 1.0, -pixels)


def _matrix(*entries: Number) -> tf.Tensor:
    return tf.stack([tf.cast(entry, tf.float32) for entry in entries])


def _source(row: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """One source coordinate of every output pixel, `(height, width)`."""
    columns = tf.cast(tf.range(width), tf.float32)
    rows = tf.cast(tf.range(height), tf.float32)
    return rounded_product(row[0], columns)[None, :] + rounded_product(row[1], rows)[:, None] - row[2]


def _is_inside(source: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return (source > -0.5) & (source < tf.cast(size, tf.float32) - 0.5)


def _nearest(source: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.floor(source + 0.5), tf.int32)
