import math

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.valid_mean import valid_mean

_LENGTHS = np.array([0, 1, 7, 299, 300])
_IS_VALID = np.arange(300) < _LENGTHS[:, None]
_COMPILED = tf.function(valid_mean, jit_compile=True)
_GRAPH = tf.function(valid_mean)


def _features(mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, (len(_LENGTHS), 300, 40)).astype("float32")


def _mean_slowly(features, length):
    return math.fsum(features[:length].ravel().tolist()) / max(1, features[:length].size)


@pytest.mark.parametrize(("mean", "scale"), [(0, 1), (-5, 3), (0, 1e-20), (1e6, 1e5), (0, 1e30), (0, 0), (3, 0)])
def test_is_the_mean_of_the_valid_frames(mean, scale):
    features = _features(mean, scale)
    expected = [_mean_slowly(*pair) for pair in zip(features, _LENGTHS, strict=True)]
    np.testing.assert_allclose(valid_mean(features, _IS_VALID), expected, rtol=1e-6, atol=1e-6 * scale)


def test_padding_of_any_kind_does_not_count():
    features = _features(-5)
    expected = valid_mean(features, _IS_VALID)
    for padding in (1e9, np.nan, -np.inf):
        padded = np.where(_IS_VALID[:, :, None], features, np.float32(padding))
        np.testing.assert_array_equal(valid_mean(padded, _IS_VALID), expected)


@pytest.mark.parametrize("mean", [-5, 0, 1e4])
def test_the_bits_are_the_same_in_every_mode_and_order(mean):
    features = _features(mean)
    expected = valid_mean(features, _IS_VALID).numpy()
    np.testing.assert_array_equal(_GRAPH(features, _IS_VALID), expected)
    np.testing.assert_array_equal(_COMPILED(features, _IS_VALID), expected)
    np.testing.assert_array_equal(valid_mean(features[:, ::-1, ::-1], _IS_VALID[:, ::-1]), expected)
    np.testing.assert_array_equal(valid_mean(features[3:4], _IS_VALID[3:4]), expected[3:4])


def test_takes_half_precision():
    features = tf.cast(_features(-5), "float16")
    expected = valid_mean(tf.cast(features, "float32"), _IS_VALID)
    np.testing.assert_array_equal(valid_mean(features, _IS_VALID), expected)
