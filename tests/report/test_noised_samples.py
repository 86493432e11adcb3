import random

import keras
import numpy as np
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.mask_seeds import seed_variables
from keras_noisy_student.report.noised_samples import noised_samples

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3)).astype("uint8")


def test_noise_by_keys_is_drawn_several_times_for_each_example():
    noise = kns.Noise(lambda x, noise_seed: tf.cast(x, tf.float32) + seeds.uniform(noise_seed, 1)[:, :, None, None])
    samples = noised_samples(noise, tf.constant(IMAGES), key=7, num_draws=3)
    repeated = tf.repeat(IMAGES, 3, axis=0)
    expected = noise.augment(repeated, seeds.fold(7, tf.range(6, dtype=tf.int64))).numpy().reshape(2, 3, 6, 6, 3)
    np.testing.assert_array_equal(samples, expected)


def test_examples_may_be_dicts():
    x = {"features": tf.ones((2, 9, 4)), "length": tf.constant([9, 5])}
    noise = kns.Noise(kns.SpecAugment(time_masks=kns.FeatureMasks(1, max_width=4)))
    samples = noised_samples(noise, x, key=0, num_draws=2)
    assert [[sample["features"].shape for sample in draws] for draws in samples] == [[(9, 4)] * 2] * 2
    assert [draws[0]["length"] for draws in samples] == [9, 5]


def test_the_random_state_of_layers_and_of_the_program_is_left_as_it_was():
    layer = keras.layers.RandomRotation(0.2, seed=3)
    layer(IMAGES.astype("float32"))
    tf.random.set_seed(5)
    before = [variable.numpy() for variable in seed_variables(layer)], random.getstate()
    expected = tf.random.uniform(())
    tf.random.set_seed(5)
    samples = noised_samples(kns.Noise(layer), tf.constant(IMAGES), key=0, num_draws=2)
    assert not np.array_equal(samples[0][0], IMAGES[0])
    assert tf.random.uniform(()) == expected
    np.testing.assert_array_equal([variable.numpy() for variable in seed_variables(layer)], before[0])
    assert random.getstate() == before[1]


def test_a_function_with_random_ops_of_tensorflow_leaves_the_state_of_the_program_alone():
    tf.random.set_seed(5)
    expected = tf.random.uniform(())
    tf.random.set_seed(5)
    noise = kns.Noise(lambda x: tf.cast(x, tf.float32) + tf.random.uniform(tf.shape(x)))
    assert noised_samples(noise, tf.constant(IMAGES), key=0, num_draws=1)[1][0].shape == (6, 6, 3)
    assert tf.random.uniform(()) == expected
