"""The ops of RandAugment that change levels, not places, as pure functions of one uint8 image.

They are those of the released policy of Cubuk et al. 2019 (arXiv 1909.13719), level for level but for two corrections,
which `contrast` and `sharpness` state. An image is a uint8 tensor `(height, width, channels)` of 1 or 3 channels;
parameters are numbers or scalar tensors. Everything compiles under XLA, with the same pixels as without it.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from keras_noisy_student.noise.float32 import rounded_product
from keras_noisy_student.noise.materialized import materialized
from keras_noisy_student.noise.rows import as_rows

Number: TypeAlias = int | float | tf.Tensor

_SOLARIZE_ADD_THRESHOLD = 128


def auto_contrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to the full range: `255 / (high - low) * (image - low)`; a flat channel is kept."""
    rows = as_rows(image)
    extremes = materialized(tf.stack([_fold_rows(tf.minimum, rows), _fold_rows(tf.maximum, rows)]))
    of_channels = tf.cast(tf.reshape(extremes, [2, -1, image.shape[-1]]), tf.float32)
    low, high = tf.reduce_min(of_channels[0], 0), tf.reduce_max(of_channels[1], 0)
    scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1.0), 1.0)
    offset = tf.where(high > low, rounded_product(scale, low), 0.0)
    scale, offset = tf.unstack(materialized(tf.tile(tf.stack([scale, offset]), [1, tf.shape(image)[1]])))
    return tf.reshape(_truncate(rounded_product(scale, tf.cast(rows, tf.float32)) - offset), tf.shape(image))


def _fold_rows(extreme: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
    """Reduces `(height, size)` to `(size,)` by halves (which may overlap): XLA vectorizes that, but no reduction."""
    if rows.shape[0] is None:
        return tf.foldl(extreme, rows)
    while rows.shape[0] > 1:
        half = (rows.shape[0] + 1) // 2
        rows = extreme(rows[:half], rows[-half:])
    return rows[0]


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Flattens each channel's histogram.

    With `step = (pixels - count of the highest level present) // 255`, level `v` becomes
    `(count of levels below v + step // 2) // step`. A channel whose step is 0 is kept.
    """
    num_channels = image.shape[-1]
    channel_of_level = tf.tile(tf.range(num_channels), tf.shape(image)[1:2])
    positions = tf.cast(as_rows(image), tf.int32) + 256 * channel_of_level
    counts = tf.raw_ops.DenseBincount(
        input=tf.reshape(positions, [-1]), size=256 * num_channels, weights=tf.zeros([0], tf.int32)
    )
    table = materialized(tf.reshape(_equalizing_table(tf.reshape(counts, [num_channels, 256])), [-1]))
    return tf.reshape(tf.gather(table, positions), tf.shape(image))


def _equalizing_table(counts: tf.Tensor) -> tf.Tensor:
    """Lookup table `(channels, 256)` from the histograms `(channels, 256)`."""
    highest_present = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), 1, keepdims=True)
    count_of_highest = tf.gather(counts, highest_present, axis=1, batch_dims=1)
    step = (tf.reduce_sum(counts, 1, keepdims=True) - count_of_highest) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True)
    equalized = tf.minimum((below + step // 2) // tf.maximum(step, 1), 255)
    return tf.cast(tf.where(step > 0, equalized, tf.range(256)), tf.uint8)


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
    """Blends with the rounded mean of PIL's grey image."""
    total = tf.reduce_sum(tf.cast(tf.reduce_sum(_pil_grey(image), 1), tf.int64))
    num_pixels = tf.size(image[..., 0], tf.int64)
    mean = (2 * total + num_pixels) // (2 * num_pixels)
    return _blend(tf.cast(mean, tf.float32), image, factor)


def contrast_of_the_paper(image: tf.Tensor, factor: Number) -> tf.Tensor:
    """Blends with the number of pixels / 256, up to 255: the authors' code, which means to blend with the mean."""
    mean = tf.minimum(tf.size(image[..., 0]) // 256, 255)
    return _blend(tf.cast(mean, tf.float32), image, factor)


def brightness(image: tf.Tensor, factor: Number) -> tf.Tensor:
    """Blends with black: `factor * image`."""
    return _blend(tf.constant(0.0), image, factor)


def sharpness(image: tf.Tensor, factor: Number) -> tf.Tensor:
    """Blends with PIL's SMOOTH: the mean of the 3x3 neighbourhood, centre weighted 5. The border is kept.

    The mean is truncated, as the authors do (PIL rounds it), but from the exact sum: the authors' float32 sum puts
    some flat areas one level too low.
    """
    rows, step = as_rows(image), image.shape[-1]
    levels = tf.cast(rows, tf.int16)
    columns = levels[:-2] + levels[1:-1] + levels[2:]
    total = columns[:, : -2 * step] + columns[:, step:-step] + columns[:, 2 * step :] + 4 * levels[1:-1, step:-step]
    smooth = tf.floor((tf.cast(total, tf.float32) + 0.5) * (1 / 13))
    middle = rows[1:-1]
    interior = _blend(smooth, middle[:, step:-step], factor)
    # `[1:][-1:]` rather than `[-1:]`: an image of one row or column has no second border.
    middle = tf.concat([middle[:, :step], interior, middle[:, step:][:, -step:]], 1)
    sharpened = tf.concat([rows[:1], middle, rows[1:][-1:]], 0)
    return tf.reshape(sharpened, tf.shape(image))


def cutout(image: tf.Tensor, center: tuple[Number, Number], half_size: Number, *, fill: int = 128) -> tf.Tensor:
    """Fills the rows and columns from `center - half_size` up to `center + half_size` (excluded) with `fill`."""
    rows, columns = _rows_and_columns(image)
    is_cut = (
        (rows >= center[0] - half_size)
        & (rows < center[0] + half_size)
        & (columns >= center[1] - half_size)
        & (columns < center[1] + half_size)
    )
    return tf.where(is_cut, tf.constant(fill, tf.uint8), image)


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: Number) -> tf.Tensor:
    """`degenerate + factor * (image - degenerate)` in float32, clipped and rounded down."""
    return _truncate(degenerate + rounded_product(factor, tf.cast(image, tf.float32) - degenerate))


def _truncate(levels: tf.Tensor) -> tf.Tensor:
    """Clips to [0, 255] and rounds down, to uint8.

    From 2^23 on the last bits of a float32 are its integer: reading them there is twice as fast as converting.
    """
    return tf.cast(tf.bitcast(tf.floor(tf.clip_by_value(levels, 0.0, 255.0)) + 2.0**23, tf.int32), tf.uint8)


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


def _rows_and_columns(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Row numbers `(height, 1, 1)` and column numbers `(1, width, 1)`."""
    return tf.range(tf.shape(image)[0])[:, None, None], tf.range(tf.shape(image)[1])[None, :, None]
