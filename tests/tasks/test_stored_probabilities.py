"""Probabilities as the store keeps them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.tasks.stored_probabilities import decode, encode
from tests.toy_data import distributions


def _logits(num_classes, num_examples=5):
    return np.random.default_rng(0).normal(scale=3, size=(num_examples, num_classes))


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _bytes_of_a_row(encoded):
    return sum(tensor.shape[1] * tensor.dtype.size for tensor in encoded.values())


def _spread_slowly(probabilities):
    """The 64 largest probabilities of each row stay, the others share what is left equally."""
    expected = np.zeros_like(probabilities)
    for target, row in zip(expected, probabilities, strict=True):
        stored = np.argsort(row)[-64:]
        target[:] = (1 - row[stored].sum()) / (len(row) - 64)
        target[stored] = row[stored]
    return expected


@pytest.mark.parametrize("num_classes", [2, 3, 63, 64])
def test_up_to_64_classes_every_probability_is_stored_in_2_bytes(num_classes):
    probabilities = distributions(5, num_classes)
    encoded = encode(tf.constant(probabilities))
    assert _bytes_of_a_row(encoded) == 2 * num_classes
    np.testing.assert_allclose(decode(encoded, num_classes), probabilities, rtol=5e-3, atol=1e-6)


@pytest.mark.parametrize("num_classes", [65, 100, 1000])
def test_above_64_classes_the_largest_are_stored_and_the_rest_is_spread_evenly(num_classes):
    probabilities = distributions(5, num_classes)
    encoded = encode(tf.constant(probabilities))
    rounding_of_a_share = 2**-11 / (num_classes - 64)
    decoded = decode(encoded, num_classes)
    assert _bytes_of_a_row(encoded) < 400
    np.testing.assert_allclose(decoded, _spread_slowly(probabilities), rtol=5e-3, atol=rounding_of_a_share)


@pytest.mark.parametrize("num_classes", [3, 64, 65, 300])
def test_decoded_rows_are_float32_distributions_with_the_same_most_likely_class(num_classes):
    probabilities = _softmax(_logits(num_classes)).astype("float32")
    decoded = decode(encode(tf.constant(probabilities)), num_classes)
    assert decoded.dtype == tf.float32
    np.testing.assert_allclose(tf.reduce_sum(decoded, axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(tf.argmax(decoded, axis=-1), np.argmax(probabilities, axis=-1))


@pytest.mark.parametrize("num_classes", [4, 100])
def test_a_certain_teacher_stays_certain(num_classes):
    probabilities = tf.one_hot([0, num_classes - 1], num_classes)
    np.testing.assert_array_equal(decode(encode(probabilities), num_classes), probabilities)
