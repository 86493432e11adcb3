import re

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from tests.toy_data import distributions

WEIGHTS = [0.5, -1.0, 2.0]


def reference(probabilities, power, log_weights):
    mapped = probabilities.astype("float64") ** power * np.exp(log_weights)
    return mapped / mapped.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("power", [0.25, 1.0, 7.5])
@pytest.mark.parametrize("log_weights", [(), WEIGHTS])
def test_maps_as_it_says(power, log_weights):
    probabilities = distributions(9)
    mapped = ProbabilityMap(power, log_weights)(tf.constant(probabilities))
    assert mapped.dtype == tf.float32
    np.testing.assert_allclose(mapped, reference(probabilities, power, log_weights or 0.0), rtol=1e-5)


def test_by_default_nothing_changes():
    probabilities = distributions(9)
    np.testing.assert_allclose(ProbabilityMap()(tf.constant(probabilities)), probabilities, rtol=1e-6)


def test_impossible_classes_stay_impossible():
    mapped = ProbabilityMap(0.1, WEIGHTS)(tf.constant([[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]])).numpy()
    np.testing.assert_array_equal(mapped[:, 0], 0)
    np.testing.assert_array_equal(mapped[0], [0, 1, 0])
    np.testing.assert_allclose(mapped.sum(axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize("first", [ProbabilityMap(0.5), ProbabilityMap(2.0, WEIGHTS), ProbabilityMap()])
@pytest.mark.parametrize("second", [ProbabilityMap(3.0), ProbabilityMap(0.75, WEIGHTS[::-1]), ProbabilityMap()])
def test_two_maps_are_one(first, second):
    probabilities = tf.constant(distributions(9))
    np.testing.assert_allclose(first.then(second)(probabilities), second(first(probabilities)), rtol=1e-5)


@pytest.mark.parametrize("power", [0, -1.0, float("inf"), float("nan"), "2"])
def test_refuses_a_power_that_is_not_positive(power):
    with pytest.raises(ValueError, match=rf"`power` must be positive\. Received: power={power!r}\."):
        ProbabilityMap(power)


@pytest.mark.parametrize("log_weights", ["abc", 1.0, [float("-inf"), 0.0], [None], np.zeros(3)])
def test_refuses_weights_that_are_no_finite_numbers(log_weights):
    message = (
        "`log_weights` must be a sequence of finite numbers, one for each class. Received: "
        f"log_weights={log_weights!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        ProbabilityMap(log_weights=log_weights)
