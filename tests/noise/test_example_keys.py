import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.example_keys import example_keys

_BATCH, _SINGLE = tf.TensorShape([3]), tf.TensorShape([])


def _drawn(generator, num_examples=3):
    return example_keys(None, generator, batch_shape=tf.TensorShape([num_examples]), num_examples=num_examples).numpy()


def test_given_keys_are_returned_as_they_are():
    keys = np.array([5, -1, 2**62])
    np.testing.assert_array_equal(example_keys(keys, None, batch_shape=_BATCH, num_examples=3), keys)
    for unsized in (tf.TensorShape([None]), tf.TensorShape(None)):
        np.testing.assert_array_equal(example_keys(keys, None, batch_shape=unsized, num_examples=3), keys)


def test_the_scalar_key_of_a_single_example_becomes_a_batch_of_one():
    keys = example_keys(np.int32(7), None, batch_shape=_SINGLE, num_examples=1)
    assert keys.dtype == tf.int64
    np.testing.assert_array_equal(keys, [7])


def test_drawn_keys_depend_on_the_seed_and_the_count_of_calls():
    first, second = keras.random.SeedGenerator(1), keras.random.SeedGenerator(1)
    calls = [_drawn(first), _drawn(first)]
    assert len(np.unique(calls)) == 6
    np.testing.assert_array_equal([_drawn(second), _drawn(second)], calls)
    assert not np.isin(_drawn(keras.random.SeedGenerator(2)), calls).any()


@pytest.mark.parametrize("keys", [np.zeros(2, np.int64), np.int64(0), np.zeros(3, np.float32)])
def test_refuses_keys_that_do_not_fit(keys):
    message = (
        r"`noise_seed` must hold one int64 key per example, in a tensor of shape \(3,\)\. "
        r"Received: noise_seed of shape .* and dtype"
    )
    with pytest.raises(ValueError, match=message):
        example_keys(keys, None, batch_shape=_BATCH, num_examples=3)
