"""Annotations, as they are and as the store keeps them, as training targets."""

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.corrected_labels import stored_annotation
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling, soft_labels
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.stored_probabilities import decode, encode
from tests.toy_data import distributions

TEMPERATURES = [0.1, 0.5, 1.0, 2.0, 10.0]


def _stored_target(probabilities, labeling):
    """The target of rows of the store, as the pipeline reads them."""
    columns = {
        "class_id": np.argmax(probabilities, axis=-1).astype("int32")[:, None],
        "score": np.max(probabilities, axis=-1, keepdims=True),
    }
    row = {**encode(tf.constant(probabilities)), **columns}
    return labeling.target(stored_annotation(row, Classification(probabilities.shape[1])))


def _logits(num_classes, num_examples=5):
    return np.random.default_rng(0).normal(scale=3, size=(num_examples, num_classes))


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


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
    targets = _stored_target(probabilities, PseudoLabeling(labels="hard"))
    assert targets.dtype == tf.int32
    np.testing.assert_array_equal(targets, np.argmax(probabilities, axis=-1))


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_soft_targets_are_the_decoded_probabilities_at_the_temperature(temperature):
    probabilities = distributions(6)
    targets = _stored_target(probabilities, PseudoLabeling(temperature=temperature))
    powers = probabilities.astype("float64") ** (1 / temperature)
    assert targets.dtype == tf.float32
    np.testing.assert_allclose(targets, powers / powers.sum(axis=-1, keepdims=True), rtol=5e-3, atol=1e-6)
