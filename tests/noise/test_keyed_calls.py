import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise.keyed_calls import as_float, call_by_keys, takes_noise_seed

IMAGES = tf.constant(np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3)), tf.uint8)
KEYS = tf.constant([8, 9, 8, 7, 9], tf.int64)


@pytest.mark.parametrize(
    ("augmentation", "takes"),
    [
        (kns.RandAugment(), True),
        (lambda images, noise_seed: images, True),
        (keras.layers.RandomFlip(), False),
        (lambda images: images, False),
        (min, False),
    ],
)
def test_the_signature_says_whether_an_augmentation_takes_keys(augmentation, takes):
    assert takes_noise_seed(augmentation) == takes


@pytest.mark.parametrize(("dtype", "expected"), [("uint8", "float32"), ("int64", "float32"), ("float16", "float16")])
def test_only_integers_become_floats(dtype, expected):
    assert as_float(tf.zeros(2, dtype)).dtype == expected


def test_images_of_one_key_share_their_noise_and_those_of_two_do_not():
    layer = keras.layers.GaussianNoise(1.0)
    noise = np.round(call_by_keys(layer, IMAGES, KEYS) - tf.cast(IMAGES, tf.float32), 3)
    assert np.abs(noise).max() > 1
    np.testing.assert_allclose(noise[[0, 1]], noise[[2, 4]], atol=1e-3)
    assert len({image.tobytes() for image in noise[[0, 1, 3]]}) == 3


def test_two_generators_of_one_layer_draw_different_numbers():
    images, noise = tf.zeros((5, 6, 6, 3)), keras.layers.GaussianNoise
    once = call_by_keys(noise(1.0), images, KEYS)
    twice = call_by_keys(keras.Sequential([keras.Input((6, 6, 3)), noise(1.0), noise(1.0)]), images, KEYS)
    assert np.all(np.max(np.abs(twice - 2 * once), axis=(1, 2, 3)) > 0.1)


def test_generators_are_neither_read_nor_written():
    layer = keras.layers.RandomFlip(seed=3)
    noised = call_by_keys(layer, IMAGES, KEYS)
    np.testing.assert_array_equal(layer.generator.state, [3, 0])
    np.testing.assert_array_equal(call_by_keys(keras.layers.RandomFlip(seed=4), IMAGES, KEYS), noised)
