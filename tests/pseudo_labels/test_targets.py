import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.targets import decode, encode, soft_labels, training_targets
from tests.toy_data import distributions

TEMPERATURES = [0.1, 0.5, 1.0, 2.0, 10.0]


def _logits(num_classes, num_examples=5):
    return np.random.default_rng(0).normal(scale=3, size=(num_examples, num_classes))


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _row(probabilities):
    """A row of the store, as the pipeline reads it."""
    class_id = np.argmax(probabilities, axis=-1).astype("int32")[:, None]
    return {**encode(tf.constant(probabilities)), "class_id": tf.constant(class_id)}


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


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("num_classes", [2, 10, 200])
def test_temperature_equals_softmax_of_divided_logits(num_classes, temperature):
    logits = _logits(num_classes)
    soft = soft_labels(tf.constant(_softmax(logits), tf.float32), temperature)
    np.testing.assert_allclose(soft, _softmax(logits / temperature), rtol=1e-4, atol=1e-6)


def test_temperature_of_one_changes_no_bit():
    probabilities = tf.constant(distributions(4))
    np.testing.assert_array_equal(soft_labels(probabilities, 1.0), probabilities)


@pytest.mark.parametrize("num_classes", [2, 10, 64])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_stored_target_at_a_temperature_is_that_of_the_confident_teacher_itself(num_classes, temperature):
    logits = _logits(num_classes)
    logits[:, 0] += 20
    stored = encode(tf.constant(_softmax(logits), tf.float32))
    soft = soft_labels(decode(stored, num_classes), temperature)
    np.testing.assert_allclose(soft, _softmax(logits / temperature), atol=5e-4)


@pytest.mark.parametrize("temperature", [0.01, 0.001])
def test_a_low_temperature_does_not_underflow(temperature):
    probabilities = np.full((2, 1000), 1e-3, "float32")
    probabilities[1, 7] = 1.01e-3
    soft = soft_labels(tf.constant(probabilities), temperature).numpy()
    np.testing.assert_allclose(soft.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(soft[0], 1e-3, rtol=1e-5)
    assert soft[1, 7] > soft[1, 0]


@pytest.mark.parametrize("num_classes", [3, 100])
def test_hard_targets_are_class_ids(num_classes):
    probabilities = distributions(6, num_classes)
    targets = training_targets(_row(probabilities), PseudoLabeling(labels="hard"), num_classes)
    assert targets.dtype == tf.int32
    np.testing.assert_array_equal(targets, np.argmax(probabilities, axis=-1))


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_soft_targets_are_the_decoded_probabilities_at_the_temperature(temperature):
    probabilities = distributions(6)
    targets = training_targets(_row(probabilities), PseudoLabeling(temperature=temperature), 3)
    powers = probabilities.astype("float64") ** (1 / temperature)
    assert targets.dtype == tf.float32
    np.testing.assert_allclose(targets, powers / powers.sum(axis=-1, keepdims=True), rtol=5e-3, atol=1e-6)
