"""What is checked of the network of a round."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.networks import (
    at_resolution,
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
        ValueError,
        match=r"`student` must be a keras\.Model, a function .* either\. Received: int in round 2",
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


def test_a_student_that_trains_a_part_of_its_teacher_is_refused():
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    teacher, student = (keras.Sequential([encoder, keras.layers.Dense(3)]) for _ in range(2))
    for network in (teacher, student):
        network.build((None, 4))
    with pytest.raises(
        ValueError, match=r"Received: 2 weights in round 1 that are weights of its teacher too, such as"
    ):
        check_is_new(student, teacher, 1)
    encoder.trainable = False
    check_is_new(student, teacher, 1)


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


def sequential_network(size=(4, 4), *, shape=(None, None, 3), middle=()):
    layers = [
        keras.layers.Resizing(*size),
        keras.layers.Conv2D(3, 2, activation="relu"),
        *middle,
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, "softmax"),
    ]
    return keras.Sequential([keras.Input(shape), *layers])


def functional_network(size=(4, 4)):
    inputs = keras.Input((7, 7, 3), name="images")
    resized = keras.layers.Resizing(*size, crop_to_aspect_ratio=True)(inputs)
    one, two = keras.layers.Conv2D(3, 2)(resized), keras.layers.Conv2D(3, 2, use_bias=False)(resized)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([two, one]))
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))


def nested_network(size=(32, 32)):
    trunk = keras.applications.MobileNetV3Small(
        input_shape=(None, None, 3), weights=None, include_top=False, include_preprocessing=False
    )
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(trunk(keras.layers.Resizing(*size)(inputs)))
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))


def resizing_inside(size=(4, 4)):
    """With the resizing in a nested model."""
    preprocessing = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Resizing(*size)])
    return keras.Sequential([preprocessing, *sequential_network().layers[1:]])


def with_random_weights(network):
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.1, 1, weight.shape) for weight in network.get_weights()])
    return network


@pytest.mark.parametrize("size", [(4, 4), (6, 5)])
@pytest.mark.parametrize("build", [sequential_network, functional_network, resizing_inside])
def test_at_another_resolution_a_network_is_what_it_would_be_if_it_were_built_so(build, size):
    network = with_random_weights(build())
    copy = at_resolution(network, size)
    expected = build(size)
    expected.set_weights(network.get_weights())
    x = np.random.default_rng(1).uniform(0, 255, (2, 7, 7, 3)).astype("float32")
    np.testing.assert_allclose(copy(x), expected(x), rtol=1e-6)
    assert copy.name == network.name
    assert [layer.name for layer in copy._flatten_layers()] == [layer.name for layer in network._flatten_layers()]
    copy.trainable_weights[0].assign_add(tf.ones(copy.trainable_weights[0].shape))
    assert not np.array_equal(copy.get_weights()[0], network.get_weights()[0])


def test_a_large_nested_network_stays_the_same_at_the_same_resolution():
    network = with_random_weights(nested_network())
    x = np.random.default_rng(1).uniform(0, 1, (1, 40, 40, 3)).astype("float32")
    copy = at_resolution(network, (32, 32))
    np.testing.assert_array_equal(copy(x), network(x))
    for weight, copied in zip(network.weights, copy.weights, strict=True):
        assert weight.path == copied.path
    assert at_resolution(network, (48, 32))(x).shape == (1, 3)


def test_a_network_at_another_resolution_keeps_its_noise_and_the_statistics_of_the_data():
    normalization = keras.layers.Normalization()
    normalization.adapt(np.array([[[[1.0, 2.0, 3.0]]], [[[3.0, 6.0, 5.0]]]], "float32"))
    network = sequential_network(middle=[normalization, keras.layers.Dropout(0.1, name="dropout")])
    kns.set_model_noise(network, dropout_rate=0.4)
    copy = at_resolution(network, (4, 4))
    x = np.random.default_rng(1).uniform(0, 255, (2, 7, 7, 3)).astype("float32")
    np.testing.assert_allclose(copy(x), network(x), rtol=1e-6)
    assert copy.get_layer("dropout").rate == 0.4


@pytest.mark.parametrize(
    ("network", "num"),
    [
        (dense_network(), 0),
        (keras.Sequential([keras.Input((None, None, 3)), keras.layers.Resizing(4, 4), keras.layers.Resizing(2, 2)]), 2),
    ],
)
def test_a_network_with_no_resizing_or_two_is_refused(network, num):
    message = (
        rf"exactly one `keras\.layers\.Resizing` .* Received: .*, which holds {num}\. Put one, .* behind its input\."
    )
    with pytest.raises(ValueError, match=message):
        at_resolution(network, (6, 6))


def test_weights_that_depend_on_the_resolution_are_refused():
    network = sequential_network(middle=[keras.layers.Flatten(), keras.layers.Reshape((27, 1, 1))])
    with pytest.raises(ValueError, match=r"cannot be run at the resolution \(6, 6\), of which Keras says: "):
        at_resolution(network, (6, 6))
    network = sequential_network(
        middle=[keras.layers.Flatten(), keras.layers.Dense(8), keras.layers.Reshape((2, 2, 2))]
    )
    message = (
        r"No weight of a network may depend on the size .*, whose weight .* of shape \(27, 8\) becomes .* of "
        r"shape \(75, 8\) at \(6, 6\)\. Replace `Flatten` by `GlobalAveragePooling2D`\."
    )
    with pytest.raises(ValueError, match=message):
        at_resolution(network, (6, 6))


def test_a_nested_model_of_one_size_is_refused():
    trunk = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(3, 2)])
    network = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Resizing(4, 4), trunk])
    with pytest.raises(
        ValueError, match=r"cannot be run at .* of which Keras says: (?s:.*)`keras\.Input\(\(None, None, 3\)\)`"
    ):
        at_resolution(network, (6, 6))


class Resizes(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.resizing = keras.layers.Resizing(4, 4)

    def call(self, x):
        return self.resizing(x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.resizing = keras.layers.Resizing(4, 4)

    def call(self, x):
        return self.resizing(x)


def test_a_resizing_inside_another_layer_is_refused():
    network = keras.Sequential([keras.Input((None, None, 3)), Resizes()])
    with pytest.raises(ValueError, match=r"must be a layer of the model itself, .* where another layer holds it\."):
        at_resolution(network, (6, 6))


def test_a_subclassed_model_is_refused():
    with pytest.raises(ValueError, match=r"cannot be run at .* Use a functional or sequential model"):
        at_resolution(Subclassed(), (6, 6))
