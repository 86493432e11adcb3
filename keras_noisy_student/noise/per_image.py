"""Runs a function of one image over a batch, under XLA where the sizes are known."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from keras_noisy_student.noise.rows import as_rows

Size: TypeAlias = int | tf.Tensor
"""A height or width: a plain number where it is known."""

ImageFunction: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Of an image `(height, width, channels)` and draws `(num_draws,)`."""


def map_images(
    for_size: Callable[[Size, Size], ImageFunction],
    images: tf.Tensor,
    draws: tf.Tensor,
    *,
    output_shape: Sequence[int | None],
    jit_compile: bool,
) -> tf.Tensor:
    """Applies a function to each image of a batch and its draws.

    One XLA call over the batch, in a loop over its images, was the fastest of six forms that were measured on a CPU. If
    the batch size is unknown, XLA is called for each image, so that a partial last batch is no reason to compile again.
    Images of unknown height or width go without XLA.

    Args:
        for_size: makes the function for images of a height and width. It is called once, outside the loop.
        images: `(batch, height, width, channels)`.
        draws: float32 `(batch, num_draws)`.
        output_shape: that of an image which the function returns; unknown sizes are those of the images.
        jit_compile: whether to use XLA at all.

    Returns:
        `(batch, *output_shape)`, of the dtype of the images.
    """

    def in_loop(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        return _map(for_size, images, draws, output_shape)

    if not jit_compile or None in images.shape[1:]:
        return in_loop(images, draws)
    compiled = tf.function(in_loop, jit_compile=True, autograph=False)
    if images.shape[0] is not None:
        return compiled(images, draws)
    return tf.map_fn(
        lambda example: compiled(example[0][None], example[1][None])[0],
        (images, draws),
        fn_output_signature=tf.TensorSpec(output_shape, images.dtype),
    )


def _map(
    for_size: Callable[[Size, Size], ImageFunction],
    images: tf.Tensor,
    draws: tf.Tensor,
    output_shape: Sequence[int | None],
) -> tf.Tensor:
    num_images, *sizes = tf.unstack(tf.shape(images))
    height, width, num_channels = _known(images.shape[1:], sizes)
    function = for_size(height, width)

    def on_rows(example: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        rows, draws = example
        return as_rows(function(tf.reshape(rows, [height, width, num_channels]), draws))

    rows = tf.map_fn(
        on_rows,
        (tf.reshape(images, [num_images, height, width * num_channels]), draws),
        fn_output_signature=tf.TensorSpec(None, images.dtype),
    )
    outputs = tf.reshape(rows, [num_images, *_known(output_shape, sizes)])
    return tf.ensure_shape(outputs, [images.shape[0], *output_shape])


def _known(static: Sequence[int | None], dynamic: Sequence[tf.Tensor]) -> list[Size]:
    return [tensor if number is None else number for number, tensor in zip(static, dynamic, strict=True)]
