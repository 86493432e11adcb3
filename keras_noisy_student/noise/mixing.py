"""Mixing: MixUp, CutMix and their like on the whole joint batch, by a Keras layer, the sample weights mixed too."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise.autograph import call_with_autograph


def check_mixing_layer(layer: Any) -> None:
    """Raises a `ValueError` for what is no Keras layer, or one that would round targets and weights."""
    if not isinstance(layer, keras.Layer):
        raise ValueError(
            '`mixing` must be a Keras layer from {"images", "labels"} to the same, such as keras.layers.MixUp(). '
            f"Received: mixing={layer!r}."
        )
    if layer.compute_dtype != "float32":
        raise ValueError(
            "`mixing` must compute in float32: it mixes targets and weights too, and Keras' own layers fail in half "
            f"precision. Received: mixing of compute_dtype {layer.compute_dtype}. Build it with "
            f'{type(layer).__name__}(..., dtype="float32").'
        )


def mix(
    layer: keras.Layer, images: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mixes the rows of a batch with each other.

    A row that is `share` of example `i` and for the rest example `j` has the loss `share * w_i * loss(y_i) +
    (1 - share) * w_j * loss(y_j)`. For a loss that is linear in the target, that is one loss with one weight: the mix
    of `w_i` and `w_j`, and the mix of `w_i * y_i` and `w_j * y_j` divided by it. So the layer mixes the weighted
    targets, with the weights beside them as one more column.

    Args:
        layer: maps `{"images": (batch, height, width, channels), "labels": (batch, num_classes + 1)}`, both float32, to
            the same, and mixes rows of labels linearly.
        images: `(batch, height, width, channels)`, of any dtype.
        targets: float32 distributions `(batch, num_classes)`.
        weights: float32 `(batch,)`.

    Returns:
        Images in float32, targets that are distributions again (all 0 in a row of weight 0), and weights.

    Raises:
        ValueError: when `images` are not a batch of images, or the layer returns something else.

    Example:
        >>> images, targets = tf.random.stateless_uniform((4, 8, 8, 3), seed=(0, 0)), tf.one_hot([0, 1, 2, 0], 3)
        >>> images, targets, weights = mix(keras.layers.MixUp(alpha=0.2), images, targets, tf.ones(4))
        >>> bool(tf.reduce_all(tf.abs(tf.reduce_sum(targets, axis=-1) - 1) < 1e-6))
        True

    Reference:
        Zhang et al. 2017, mixup: beyond empirical risk minimization, arXiv 1710.09412. Yun et al. 2019, CutMix:
        regularization strategy to train strong classifiers with localizable features, arXiv 1905.04899.
    """
    _check_images(images)
    weight_column = weights[:, None]
    batch = {
        "images": tf.cast(images, tf.float32),
        "labels": tf.concat([targets * weight_column, weight_column], axis=-1),
    }
    shapes = _shapes(batch)
    mixed = call_with_autograph(layer, batch, training=True)
    _check_mixed(mixed, shapes)
    weighted_targets, weight_column = mixed["labels"][:, :-1], mixed["labels"][:, -1:]
    return mixed["images"], tf.math.divide_no_nan(weighted_targets, weight_column), weight_column[:, 0]


def _check_images(images: Any) -> None:
    """Keras takes a tensor of rank 3 for one image, and mixes its rows without their labels."""
    if not tf.is_tensor(images) or images.shape.rank != 4:
        raise ValueError(
            "`mixing` takes images, one tensor of shape (batch, height, width, channels). Received: "
            f"{tf.nest.map_structure(lambda tensor: tensor.shape, images)}. Features (batch, frames, bins) become "
            "images of one channel by `x[..., None]`; for anything else, pass mixing=None."
        )


def _check_mixed(mixed: Any, expected: dict[str, tf.TensorShape]) -> None:
    is_batch = isinstance(mixed, Mapping) and expected.keys() <= mixed.keys()
    if not is_batch or not all(mixed[name].shape.is_compatible_with(shape) for name, shape in expected.items()):
        raise ValueError(
            f"`mixing` must return images and labels of the shapes that it was given: {expected}. Received: "
            f"{_shapes(mixed) if isinstance(mixed, Mapping) else type(mixed).__name__}. Its labels have a last column "
            "that holds the weights."
        )


def _shapes(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.TensorShape]:
    return {name: tensor.shape for name, tensor in batch.items()}
