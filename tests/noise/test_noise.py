"""`Noise`: which call an augmentation gets, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns

SEEDS = tf.constant([1, 2], tf.int64)


def test_without_an_augmentation_examples_stay_as_they_are():
    x = tf.zeros((2, 3))
    assert kns.Noise().augment(x, SEEDS) is x


def test_a_function_that_takes_noise_seed_gets_the_keys():
    def augmentation(x, noise_seed):
        return x + tf.cast(noise_seed[:, None], tf.float32)

    np.testing.assert_array_equal(kns.Noise(augmentation).augment(tf.zeros((2, 1)), SEEDS), [[1], [2]])


def test_a_layer_that_takes_noise_seed_gets_the_keys():
    class Shift(keras.layers.Layer):
        def call(self, x, noise_seed=None):
            return x + tf.cast(noise_seed[:, None], x.dtype)

    np.testing.assert_array_equal(kns.Noise(Shift()).augment(tf.zeros((2, 1)), SEEDS), [[1], [2]])


def test_any_other_function_gets_the_examples():
    np.testing.assert_array_equal(kns.Noise(lambda x: x + 1).augment(tf.zeros((2, 1)), SEEDS), [[1], [1]])


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.GaussianNoise(0.5, seed=0),
        keras.layers.RandomRotation(0.1, seed=0),
        keras.layers.RandomFlip(seed=0),
        keras.layers.RandAugment((0, 255), seed=0),
        keras.Sequential([keras.layers.RandomContrast(0.5, seed=0), keras.layers.Dropout(0.5, seed=0)]),
    ],
    ids=lambda layer: layer.name,
)
def test_any_keras_layer_noises_uint8_images_in_training_mode(layer):
    # Sixteen images: two may both stay unflipped.
    x = tf.random.stateless_uniform((16, 8, 8, 3), (1, 2), 0, 255, tf.int32)
    noised = kns.Noise(layer).augment(tf.cast(x, tf.uint8), tf.range(16, dtype=tf.int64))
    assert noised.shape == x.shape
    assert np.any(noised.numpy() != x.numpy())


def test_layers_of_keras_cv_plug_in():
    keras_cv = pytest.importorskip("keras_cv")
    layer = keras_cv.layers.RandAugment(value_range=(0, 255), seed=0)
    x = tf.cast(tf.random.stateless_uniform((2, 16, 16, 3), (1, 2), 0, 255, tf.int32), tf.uint8)
    assert np.any(kns.Noise(layer).augment(x, SEEDS).numpy() != x.numpy())


def test_examples_may_be_dicts():
    layer = keras.layers.Lambda(lambda x: {"a": x["a"] * 2})
    np.testing.assert_array_equal(kns.Noise(layer).augment({"a": tf.ones((2, 1), tf.uint8)}, SEEDS)["a"], [[2], [2]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"augmentation": 3}, r"`augmentation` must be a Keras layer or a function .* Received: augmentation=3"),
        ({"dropout_rate": 1}, r"`dropout_rate` must be in \[0, 1\)\. Received: dropout_rate=1\."),
        ({"survival_probability": 0}, r"`survival_probability` must be in \(0, 1\]\. Received: survival_probability=0"),
        ({"placement": "gpu"}, r'`placement` must be "step" or "pipeline"\. Received: placement=\'gpu\''),
        ({"placement": np.zeros(2)}, r'`placement` must be "step" or "pipeline"\. Received: placement=array'),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kns.Noise(**arguments)
