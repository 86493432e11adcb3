"""What is checked of the network of a round."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.networks import (
    check_is_new,
    check_network,
    check_not_smaller,
    check_teacher,
    new_network,
    weights_digest,
)

TASK = kns.Classification(num_classes=3)


def dense_network(units=4, num_outputs=3):
    layers = [keras.layers.Dense(units), keras.layers.Dense(num_outputs, activation="softmax")]
    return keras.Sequential([keras.Input((4,)), *layers])


def test_a_model_is_copied_without_its_weights():
    model = dense_network()
    copy = new_network(model, 1)
    assert copy is not model
    assert copy.count_params() == model.count_params()
    assert not np.allclose(copy.get_weights()[0], model.get_weights()[0])


def test_a_copy_keeps_the_statistics_of_the_data():
    normalization = keras.layers.Normalization()
    normalization.adapt(np.array([[1.0, 2.0], [3.0, 6.0]], "float32"))
    model = keras.Sequential([keras.Input((2,)), normalization, keras.layers.Dense(3, "softmax")])
    copy = new_network(model, 1)
    x = np.ones((1, 2), "float32")
    np.testing.assert_array_equal(copy.layers[0](x), normalization(x))
    assert not np.allclose(copy.layers[1].kernel, model.layers[1].kernel)


def test_a_model_that_cannot_be_copied_is_refused():
    class NoConfig(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.dense = keras.layers.Dense(units)

    with pytest.raises(ValueError, match=r"cannot be copied.*`lambda round_index: NoConfig\(\.\.\.\)`"):
        new_network(NoConfig(3), 0)


def test_a_function_gets_the_round_index():
    assert new_network(lambda round_index: dense_network(units=4 + round_index), 3).layers[0].units == 7


def test_a_function_that_returns_no_model_is_refused():
    with pytest.raises(
        ValueError, match=r"`student` must be a keras\.Model, or a function .* Received: int in round 2"
    ):
        new_network(lambda round_index: 5, 2)


def test_a_student_smaller_than_its_teacher_is_refused():
    check_not_smaller(dense_network(4), dense_network(4), 1)
    message = (
        r"at least as large.* Received: 19 parameters in round 1, its teacher has 35\..*allow_smaller_student=True"
    )
    with pytest.raises(ValueError, match=message):
        check_not_smaller(dense_network(2), dense_network(4), 1)


def test_a_student_that_is_its_teacher_is_refused():
    network = dense_network()
    with pytest.raises(
        ValueError, match=r"must build a new model for every round\. Received: the teacher itself in round 2"
    ):
        check_is_new(network, network, 2)


def test_outputs_are_checked_by_the_task():
    x = np.ones((2, 4), "float32")
    check_network(dense_network(), x, TASK)
    with pytest.raises(ValueError, match=r"shape \(batch, 3\).*Received: shape \(2, 5\)"):
        check_network(dense_network(num_outputs=5), x, TASK)


@pytest.mark.parametrize("x", [np.ones((2, 5), "float32"), tf.constant([["a"] * 4] * 2)], ids=["shape", "dtype"])
def test_examples_that_the_network_does_not_take_are_described(x):
    message = (
        r"The network 'sequential.*' must take batches of the labelled examples\. Received: a batch of shape and dtype "
        rf"\({re.escape(repr(tuple(x.shape)))}, '{x.dtype.name}'\), of which it says: (?s:.*) Change the input of the "
        r"network, or the examples\."
    )
    with pytest.raises(ValueError, match=message):
        check_network(dense_network(), x, TASK)


def test_a_teacher_is_judged_by_its_clean_predictions():
    x = np.eye(3, 4, dtype="float32").repeat(4, axis=0)
    y = np.arange(3).repeat(4)
    labeled = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(12).batch(5)
    knows = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.99), keras.layers.Dense(3, "softmax")])
    knows.layers[-1].set_weights([9 * np.eye(4, 3), np.zeros(3)])
    check_teacher(knows, labeled, TASK)
    constant = dense_network()
    constant.layers[-1].set_weights([np.zeros((4, 3)), np.array([0, 5, 0])])
    with pytest.raises(ValueError, match=r"no better than chance.*mean recall 0\.333.*100% of its answers are class 1"):
        check_teacher(constant, labeled, TASK)


def test_the_digest_tells_weights_apart():
    network = dense_network()
    digest = weights_digest(network)
    assert weights_digest(network) == digest
    network.layers[0].bias.assign_add([0, 0, 0, 1e-6])
    assert weights_digest(network) != digest
