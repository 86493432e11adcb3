"""What every `ImageNoise` must do, checked in one place."""

import numpy as np
import tensorflow as tf

from keras_noisy_student.noise import seeds


def images_and_keys(num, shape=(12, 17, 3)):
    """Random images, and keys."""
    images = np.random.default_rng(0).integers(0, 256, (num, *shape), dtype=np.uint8)
    return images, np.arange(num) + 7


def check_noise(layer, shape, slowly):
    """Every kind of graph gives the pixels of a slow function of one image and its draws.

    Args:
        layer: an `ImageNoise`.
        shape: of an image.
        slowly: NumPy function of an image and the list of its draws.
    """
    images, keys = images_and_keys(40, shape)
    draws = seeds.uniform(tf.constant(keys), layer.num_draws).numpy()
    expected = np.stack([slowly(image, of_image) for image, of_image in zip(images, draws, strict=True)])

    np.testing.assert_array_equal(layer(images, noise_seed=keys), expected)
    np.testing.assert_array_equal(layer(images[3], noise_seed=keys[3]), expected[3])
    assert layer.compute_output_shape((None, *shape)) == (None, *expected.shape[1:])
    assert tuple(layer(images, training=False).shape) == expected.shape
    for signature in [(40, *shape), (None, *shape), (None, None, None, shape[-1])]:
        specs = [tf.TensorSpec(signature, tf.uint8), tf.TensorSpec(signature[:1], tf.int64)]
        for jit_compile in (False, True):
            if jit_compile and signature[0] is None:
                continue
            noised = tf.function(lambda images, keys: layer(images, noise_seed=keys), specs, jit_compile=jit_compile)
            np.testing.assert_array_equal(noised(images, keys), expected)
