"""Encoded images against the arrays that they were made of."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_noisy_student.serving.encoded_images import decoded_images, is_image

COLOUR = tf.TensorSpec((8, 6, 3), tf.uint8)
GREY = tf.TensorSpec((8, 6, 1), tf.uint8)


def images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


def encoded(image, **options):
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, **options)
    return file.getvalue()


@pytest.mark.parametrize("spec", [COLOUR, GREY])
def test_png_files_are_the_arrays_themselves(spec):
    arrays = images(5, *spec.shape)
    decoded = decoded_images(tf.constant([encoded(array, format="png") for array in arrays]), spec)
    assert decoded.dtype == tf.uint8
    np.testing.assert_array_equal(decoded, arrays)


def test_jpeg_files_are_what_tensorflow_decodes():
    files = [encoded(array, format="jpeg") for array in images(3, 8, 6, 3)]
    expected = [tf.io.decode_jpeg(file, channels=3) for file in files]
    np.testing.assert_array_equal(decoded_images(tf.constant(files), COLOUR), expected)


def test_a_batch_of_other_sizes_and_kinds_is_resized_with_antialiasing():
    large, grey, small = images(33, 50, 3), images(8, 6, 1), images(2, 3, 3)
    files = [encoded(large, format="png"), encoded(grey, format="png"), encoded(small, format="png")]
    decoded = decoded_images(tf.constant(files), COLOUR).numpy()
    for image, original in ((decoded[0], large), (decoded[2], small)):
        expected = tf.image.resize(original, (8, 6), antialias=True).numpy()
        np.testing.assert_array_equal(image, np.clip(expected.round(), 0, 255))
    np.testing.assert_array_equal(decoded[1], np.repeat(grey, 3, axis=-1))
    without = tf.image.resize(large, (8, 6)).numpy()
    assert np.abs(without - decoded[0]).mean() > 10


def test_transparency_is_dropped():
    transparent = images(8, 6, 4)
    np.testing.assert_array_equal(
        decoded_images(tf.constant([encoded(transparent, format="png")]), COLOUR)[0], transparent[..., :3]
    )


@pytest.mark.parametrize("file", [b"", b"no image", encoded(images(8, 6, 3), format="jpeg")[:-50]])
def test_bytes_that_are_no_whole_image_are_an_error(file):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded_images(tf.constant([encoded(images(8, 6, 3), format="png"), file]), COLOUR)


def test_no_files_are_no_images():
    assert decoded_images(tf.constant([], tf.string), COLOUR).shape == (0, 8, 6, 3)


def test_images_are_told_from_other_examples():
    assert is_image(COLOUR)
    assert is_image(GREY)
    for other in (
        tf.TensorSpec((8, 6, 3), tf.float32),
        tf.TensorSpec((8, 6, 2), tf.uint8),
        tf.TensorSpec((4, 8, 6, 3), tf.uint8),
        tf.TensorSpec((None, None, 3), tf.uint8),
        tf.TensorSpec((8, 3), tf.uint8),
        {"image": COLOUR},
    ):
        assert not is_image(other)
