import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.corrected_labels import ProbabilityCorrection
from keras_noisy_student.pseudo_labels.online import OnlineTeacher
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.tasks.classification import Classification
from tests.toy_data import NUM_CLASSES, features, network


def _teacher(teacher_network, **rules):
    teacher = Teacher([teacher_network], Classification(NUM_CLASSES))
    return OnlineTeacher(teacher, PseudoLabeling(annotate="online", **rules))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_soft_targets_are_the_un_noised_probabilities_at_the_temperature(temperature):
    teacher_network, x = network(dropout_rate=0.9), features(16)
    targets, _ = _teacher(teacher_network, temperature=temperature)(x)
    powers = teacher_network(x, training=False).numpy().astype("float64") ** (1 / temperature)
    np.testing.assert_allclose(targets, powers / powers.sum(axis=-1, keepdims=True), rtol=1e-5)


def test_hard_targets_are_the_most_likely_classes_of_the_un_noised_teacher():
    teacher_network, x = network(dropout_rate=0.9), features(16)
    targets, _ = _teacher(teacher_network, labels="hard")(x)
    assert targets.dtype == tf.int32
    np.testing.assert_array_equal(targets, teacher_network(x, training=False).numpy().argmax(axis=-1))


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_weights_are_0_for_those_that_are_not_confident_enough_and_else_1(labels):
    teacher_network, x = network(), features(16)
    confidences = teacher_network(x).numpy().max(axis=-1)
    threshold = float(np.median(confidences))
    _, weights = _teacher(teacher_network, labels=labels, confidence_threshold=threshold)(x)
    assert weights.dtype == tf.float32
    np.testing.assert_array_equal(weights, confidences > np.float32(threshold))
    assert 0 < weights.numpy().sum() < 16


def test_a_threshold_of_0_keeps_all():
    _, weights = _teacher(network())(features(16))
    np.testing.assert_array_equal(weights, np.ones(16))


@pytest.mark.parametrize("choice", ["soft", "hard"])
def test_a_correction_changes_targets_and_weights(choice):
    teacher_network, x, log_weights = network(), features(16), [2.0, 0.0, -1.0]
    corrected = teacher_network(x).numpy().astype("float64") ** 0.5 * np.exp(log_weights)
    corrected /= corrected.sum(axis=-1, keepdims=True)
    threshold = float(np.median(corrected.max(axis=-1)))
    rules = PseudoLabeling(choice, confidence_threshold=threshold, annotate="online")
    teacher = Teacher([teacher_network], Classification(NUM_CLASSES))
    correction = ProbabilityCorrection(ProbabilityMap(0.5, log_weights), teacher.task)
    targets, weights = OnlineTeacher(teacher, rules, correction=lambda: correction)(x)
    if choice == "soft":
        np.testing.assert_allclose(targets, corrected, rtol=1e-5)
    else:
        np.testing.assert_array_equal(targets, corrected.argmax(axis=-1))
    np.testing.assert_array_equal(weights, corrected.max(axis=-1) > threshold)


def test_a_student_does_not_take_the_weights_of_its_teacher_for_its_own():
    class Student(keras.Model):
        def __init__(self, teacher):
            super().__init__()
            self.dense = keras.layers.Dense(NUM_CLASSES)
            self.teacher = teacher

        def call(self, x):
            return self.dense(x)

    student = Student(_teacher(network()))
    student(features(2))
    assert len(student.weights) == 2
