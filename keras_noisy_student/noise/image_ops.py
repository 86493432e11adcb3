"""The ops of RandAugment that change levels, not places, as pure functions of one uint8 image.

They are those of the released policy of Cubuk et al. 2019 (arXiv 1909.13719), level for level but for two corrections,
which `contrast` and `sharpness` state. An image is a uint8 tensor `(height, width, channels)` of 1 or 3 channels;
parameters are numbers or scalar tensors. Everything compiles under XLA, with the same pixels as without it.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from keras_noisy_student.noise.float32 import rounded_product

Number: TypeAlias = int | float | tf.Tensor

FILL_LEVEL = 128
_SOLARIZE_ADD_THRESHOLD = 128


def auto_contrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to the full range: `255 / (high - low) * (image - low)`; a flat channel is kept."""
    rows = tf.reshape(image, [tf.shape(image)[0], -1])
    low = _reduce_channels(tf.reduce_min, rows, image.shape[-1])
    high = _reduce_channels(tf.reduce_max, rows, image.shape[-1])
    scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1.0), 1.0)
    offset = tf.where(high > low, rounded_product(scale, low), 0.0)
    width = tf.shape(image)[1:2]
    stretched = rounded_product(tf.tile(scale, width), tf.cast(rows, tf.float32)) - tf.tile(offset, width)
    return tf.reshape(_truncate(stretched), tf.shape(image))


def _reduce_channels(reduce: Callable[[tf.Tensor, int], tf.Tensor], rows: tf.Tensor, num_channels: int) -> tf.Tensor:
    """Reduces rows of interleaved channels to float32 `(channels,)`, whole rows first: twice as fast under XLA."""
    return tf.cast(reduce(tf.reshape(reduce(rows, 0), [-1, num_channels]), 0), tf.float32)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Flattens each channel's histogram.

    With `step = (pixels - count of the highest level present) // 255`, level `v` becomes
    `(count of levels below v + step // 2) // step`. A channel whose step is 0 is kept.
    """
    num_channels = image.shape[-1]
    positions = tf.cast(image, tf.int32) + 256 * tf.range(num_channels)
    counts = tf.raw_ops.DenseBincount(
        input=tf.reshape(positions, [-1]), size=256 * num_channels, weights=tf.zeros([0], tf.int32)
    )
    table = _materialized(_equalizing_table(tf.reshape(counts, [num_channels, 256])))
    return tf.gather(tf.reshape(table, [-1]), positions)


def _equalizing_table(counts: tf.Tensor) -> tf.Tensor:
    """Lookup table `(channels, 256)` from the histograms `(channels, 256)`."""
    highest_present = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), 1, keepdims=True)
    count_of_highest = tf.gather(counts, highest_present, axis=1, batch_dims=1)
    step = (tf.reduce_sum(counts, 1, keepdims=True) - count_of_highest) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True)
    equalized = tf.minimum((below + step // 2) // tf.maximum(step, 1), 255)
    return tf.cast(tf.where(step > 0, equalized, tf.range(256)), tf.uint8)


def _materialized(table: tf.Tensor) -> tf.Tensor:
    """Copies `table` by a scatter, which XLA does not fuse: else it would recompute the table for every pixel."""
    return tf.tensor_scatter_nd_update(tf.zeros_like(table), tf.range(table.shape[0])[:, None], table)


def invert(image: tf.Tensor) -> tf.Tensor:
    """`255 - image`."""
    return tf.bitwise.invert(image)


def posterize(image: tf.Tensor, num_bits: Number) -> tf.Tensor:
    """Keeps the `num_bits` highest bits of every level, 1 to 8."""
    mask = tf.bitwise.left_shift(tf.constant(255), 8 - tf.cast(num_bits, tf.int32))
    return tf.bitwise.bitwise_and(image, tf.cast(tf.bitwise.bitwise_and(mask, 255), tf.uint8))


def solarize(image: tf.Tensor, threshold: Number) -> tf.Tensor:
    """Inverts the levels at or above `threshold`, 0 (all) to 256 (none)."""
    is_inverted = tf.cast(tf.cast(image, tf.int32) >= threshold, tf.uint8)
    return tf.bitwise.bitwise_xor(image, 255 * is_inverted)


def solarize_add(image: tf.Tensor, addition: Number) -> tf.Tensor:
    """Adds `addition` to the levels below 128, up to 255."""
    is_dark = tf.cast(image < _SOLARIZE_ADD_THRESHOLD, tf.uint8)
    return image + is_dark * tf.minimum(invert(image), tf.cast(tf.minimum(addition, 255), tf.uint8))


def color(image: tf.Tensor, factor: Number) -> tf.Tensor:
    """Blends with the grey image: 0 is grey, 1 the image. A grey image is kept."""
    if image.shape[-1] == 1:
        return image
    return _blend(_grey(image), image, factor)


def contrast(image: tf.Tensor, factor: Number) -> tf.Tensor:
    """Blends with the rounded mean of PIL's grey image (the authors' mean is a constant by mistake)."""
    total = tf.reduce_sum(tf.cast(tf.reduce_sum(_pil_grey(image), 1), tf.int64))
    num_pixels = tf.size(image[..., 0], tf.int64)
    mean = (2 * total + num_pixels) // (2 * num_pixels)
    return _blend(tf.cast(mean, tf.float32), image, factor)


def brightness(image: tf.Tensor, factor: Number) -> tf.Tensor:
    """Blends with black: `factor * image`."""
    return _blend(tf.constant(0.0), image, factor)


def sharpness(image: tf.Tensor, factor: Number) -> tf.Tensor:
    """Blends with PIL's SMOOTH: the mean of the 3x3 neighbourhood, centre weighted 5. The border is kept.

    The mean is truncated, as the authors do (PIL rounds it), but from the exact sum: the authors' float32 sum puts
    some flat areas one level too low.
    """
    padded = tf.pad(tf.cast(image, tf.int16), [[1, 1], [1, 1], [0, 0]])
    columns = padded[:-2] + padded[1:-1] + padded[2:]
    total = columns[:, :-2] + columns[:, 1:-1] + columns[:, 2:] + 4 * padded[1:-1, 1:-1]
    smooth = tf.floor((tf.cast(total, tf.float32) + 0.5) * (1 / 13))
    return tf.where(_interior(image), _blend(smooth, image, factor), image)


def cutout(image: tf.Tensor, center: tuple[Number, Number], half_size: Number) -> tf.Tensor:
    """Fills the rows and columns from `center - half_size` up to `center + half_size` (excluded) with 128."""
    rows, columns = _rows_and_columns(image)
    is_cut = (
        (rows >= center[0] - half_size)
        & (rows < center[0] + half_size)
        & (columns >= center[1] - half_size)
        & (columns < center[1] + half_size)
    )
    return tf.where(is_cut, tf.constant(FILL_LEVEL, tf.uint8), image)


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: Number) -> tf.Tensor:
    """`degenerate + factor * (image - degenerate)` in float32, clipped and truncated."""
    return _truncate(degenerate + rounded_product(factor, tf.cast(image, tf.float32) - degenerate))


def _truncate(levels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(levels, 0.0, 255.0), tf.uint8)


def _grey(image: tf.Tensor) -> tf.Tensor:
    """TensorFlow's `rgb_to_grayscale`: `0.2989 r + 0.587 g + 0.114 b`, scaled from 255 to 255.5 and truncated."""
    weighted = tf.cast(image, tf.float32) * tf.constant([2989.0, 5870.0, 1140.0])
    return tf.floor(tf.reduce_sum(weighted, -1, keepdims=True) * (255.5 / 255 / 10_000))


def _pil_grey(image: tf.Tensor) -> tf.Tensor:
    """PIL's `convert("L")`: `0.299 r + 0.587 g + 0.114 b` in units of 1/65536, rounded; int32 `(height, width)`."""
    levels = tf.cast(image, tf.int32)
    if image.shape[-1] == 1:
        return levels[..., 0]
    return tf.bitwise.right_shift(tf.reduce_sum(levels * tf.constant([19595, 38470, 7471]), -1) + 32768, 16)


def _interior(image: tf.Tensor) -> tf.Tensor:
    rows, columns = _rows_and_columns(image)
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    return (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)


def _rows_and_columns(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Row numbers `(height, 1, 1)` and column numbers `(1, width, 1)`."""
    return tf.range(tf.shape(image)[0])[:, None, None], tf.range(tf.shape(image)[1])[None, :, None]
