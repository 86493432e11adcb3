"""Freezing the layers before one of a name."""

import re

import keras
import numpy as np
import pytest

from keras_noisy_student.freezing import frozen_before


def nested_network():
    """Two convolutions, the second with its normalization in a nested model, and a head."""
    trunk = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            keras.layers.Conv2D(2, 1, name="middle"),
            keras.layers.BatchNormalization(momentum=0.5, name="norm"),
            keras.layers.Conv2D(2, 1, name="late"),
        ],
        name="trunk",
    )
    inputs = keras.Input((None, None, 1))
    x = trunk(keras.layers.Conv2D(2, 1, name="first")(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(keras.layers.GlobalAveragePooling2D()(x)))


def trained_layers(network):
    return sorted({weight.path.split("/")[-2] for weight in network.trainable_weights})


ALL = ["first", "head", "late", "middle", "norm"]


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        (None, ALL),
        ("first", ALL),
        ("trunk", ["head", "late", "middle", "norm"]),
        ("middle", ["head", "late", "middle", "norm"]),
        ("norm", ["head", "late", "norm"]),
        ("late", ["head", "late"]),
        ("global_average_pooling2d", ["head"]),
    ],
)
def test_layers_before_the_named_one_are_frozen_for_the_time(name, trained):
    keras.utils.clear_session()
    network = nested_network()
    with frozen_before(network, name):
        assert trained_layers(network) == trained
    assert trained_layers(network) == ALL


def test_what_was_frozen_before_stays_frozen_inside_other_layers_too():
    network = nested_network()
    network.get_layer("trunk").get_layer("middle").trainable = False
    network.get_layer("head").trainable = False
    bidirectional = keras.layers.Bidirectional(keras.layers.SimpleRNN(2))
    recurrent = keras.Sequential([keras.Input((3, 1)), bidirectional, keras.layers.Dense(2, name="top")])
    bidirectional.backward_layer.trainable = False
    before = len(recurrent.trainable_weights)
    with frozen_before(network, "late"), frozen_before(recurrent, "top"):
        assert trained_layers(network) == ["late"]
        assert trained_layers(recurrent) == ["top"]
    assert trained_layers(network) == ["first", "late", "norm"]
    assert len(recurrent.trainable_weights) == before


def test_frozen_batch_normalization_runs_in_inference_mode():
    network = nested_network()
    norm = network.get_layer("trunk").get_layer("norm")
    x = np.random.default_rng(0).normal(size=(4, 2, 2, 1)).astype("float32")
    with frozen_before(network, "late"):
        np.testing.assert_array_equal(network(x, training=True), network(x))
        np.testing.assert_array_equal(norm.moving_mean, [0, 0])
    network(x, training=True)
    assert np.any(norm.moving_mean != 0)


def test_layers_are_trainable_again_after_an_error():
    network = nested_network()
    with pytest.raises(KeyError), frozen_before(network, "head"):
        raise KeyError
    assert trained_layers(network) == ALL


def test_an_unknown_layer_is_an_error_that_names_those_there_are():
    message = (
        r"exactly one layer of the network .* train_from='mid', which no layers have\. The last ones with weights are "
    )
    names = re.escape("['first', 'middle', 'norm', 'late', 'head'].")
    with pytest.raises(ValueError, match=message + names), frozen_before(nested_network(), "mid"):
        pass


def test_a_name_of_several_layers_is_an_error():
    network = nested_network()
    network.get_layer("trunk").get_layer("late").name = "head"
    with pytest.raises(ValueError, match=r"train_from='head', which 2 layers have"), frozen_before(network, "head"):
        pass


def test_nothing_left_to_train_is_an_error():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Softmax(name="last")])
    message = r"must have weights to train\. Received: train_from='last' in the network .* Name an earlier layer\."
    with pytest.raises(ValueError, match=message), frozen_before(network, "last"):
        pass
    assert len(network.trainable_weights) == 2
