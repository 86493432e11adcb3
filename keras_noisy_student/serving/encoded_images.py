"""JPEG and PNG files as the images that a network was trained on."""

from typing import Any, TypeGuard

import tensorflow as tf


def is_image(element_spec: Any) -> TypeGuard[tf.TensorSpec]:
    """Whether one example is a uint8 image of a known size, grey or in colour."""
    is_tensor = isinstance(element_spec, tf.TensorSpec) and element_spec.dtype == tf.uint8
    return is_tensor and element_spec.shape.is_fully_defined() and tuple(element_spec.shape[2:]) in ((1,), (3,))


def decoded_images(files: tf.Tensor, image_spec: tf.TensorSpec) -> tf.Tensor:
    """Decodes files, and brings images of another size to that of `image_spec` with antialiasing, not cropped.

    Args:
        files: the bytes of JPEG or PNG files, strings `(batch,)`.
        image_spec: of one image, uint8 `(height, width, 1 or 3)`.

    Returns:
        uint8 `(batch, height, width, 1 or 3)`.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, for bytes that are no whole image.
    """
    height, width, channels = image_spec.shape

    def decoded(file: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(file, channels=channels, expand_animations=False)
        resized = tf.image.resize(image, (height, width), antialias=True)
        return tf.saturate_cast(tf.round(resized), tf.uint8)

    return tf.map_fn(decoded, files, fn_output_signature=image_spec)
