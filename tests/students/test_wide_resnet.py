"""Wide residual networks: the sizes of the paper's table, the noise they take, and what they refuse."""

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.networks import at_resolution
from keras_noisy_student.students import wide_resnet


def images(height, width):
    return np.random.default_rng(0).integers(0, 256, (4, height, width, 3)).astype("uint8")


@pytest.mark.parametrize(
    ("depth", "widen_factor", "millions"), [(40, 1, 0.6), (40, 2, 2.2), (16, 8, 11.0), (28, 2, 1.5), (28, 10, 36.5)]
)
def test_parameters_are_as_many_as_published(depth, widen_factor, millions):
    with keras.StatelessScope():
        network = wide_resnet(depth, widen_factor, num_classes=10)
    assert sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) / 1e6 == pytest.approx(
        millions, abs=0.06
    )


def test_it_has_as_many_convolutions_as_its_depth_says():
    network = wide_resnet(16, 0.25, num_classes=3)
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in network.layers) == 16


@pytest.mark.parametrize(("first_stride", "side"), [(1, 8), (2, 4)])
def test_it_shrinks_an_image_fourfold_and_by_the_first_stride(first_stride, side):
    network = wide_resnet(10, 0.25, num_classes=3, first_stride=first_stride)
    assert network.layers[-3].input.shape[1:3] == (side, side)


def test_branches_and_the_last_layer_take_noise():
    layers = kns.set_model_noise(wide_resnet(10, 0.25, num_classes=3), dropout_rate=0.5, survival_probability=0.7)
    assert [layer.new_drop_rate for layer in layers] == pytest.approx([0.5, 0.1, 0.2, 0.3])


def test_without_noise_it_is_the_same_in_training():
    network = wide_resnet(10, 0.25, num_classes=3, image_size=8)
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    x = images(8, 8)
    np.testing.assert_allclose(network(x, training=True), network(x, training=False), atol=1e-5)


@pytest.fixture(scope="module")
def network():
    return wide_resnet(10, 0.25, num_classes=3, image_size=8)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (20, 9), (4, 32)])
def test_images_of_any_size_and_dtype_are_resized(network, height, width):
    x = images(height, width)
    resized = keras.ops.image.resize(x.astype("float32"), (8, 8))
    np.testing.assert_allclose(network(x), network(resized), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(network(x), network(x.astype("float32")))


def test_pixels_of_images_that_have_the_size_are_left_alone(network):
    scaled = keras.Model(network.inputs[0], network.layers[2].output)
    np.testing.assert_allclose(scaled(images(8, 8)), images(8, 8) / 127.5 - 1, atol=1e-6)


def test_a_call_that_does_not_say_so_is_no_training(network):
    np.testing.assert_array_equal(network(images(20, 9)), network(images(20, 9), training=False))


def test_it_is_run_at_another_resolution(network):
    copy = at_resolution(network, (12, 12))
    (resizing,) = [layer for layer in copy.layers if isinstance(layer, keras.layers.Resizing)]
    assert (resizing.height, resizing.width) == (12, 12)
    resized = keras.ops.image.resize(images(8, 8).astype("float32"), (12, 12))
    larger = wide_resnet(10, 0.25, num_classes=3, image_size=12)
    larger.set_weights(network.get_weights())
    np.testing.assert_allclose(copy(images(8, 8)), larger(resized), rtol=1e-3, atol=1e-5)


def test_logits_are_what_the_softmax_is_taken_of(network):
    logits = wide_resnet(10, 0.25, num_classes=3, image_size=8, from_logits=True)
    logits.set_weights(network.get_weights())
    np.testing.assert_allclose(keras.ops.softmax(logits(images(8, 8))), network(images(8, 8)), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 12}, r"`depth` must be 10, 16, 22, 28, ...: 6 n \+ 4. Received: depth=12"),
        ({"depth": 4}, "Received: depth=4"),
        ({"widen_factor": 0}, "`widen_factor` must be a number of at least 1/16. Received: widen_factor=0"),
        ({"num_classes": 1}, "`num_classes` must be an integer of at least 2. Received: num_classes=1"),
        ({"image_size": 7}, "`image_size` must be an integer of at least 8. Received: image_size=7"),
        ({"image_size": (32, 32)}, r"`image_size` must be an integer.*Received: image_size=\(32, 32\)"),
        ({"from_logits": 1}, "`from_logits` must be True or False. Received: from_logits=1"),
        ({"first_stride": 0}, "`first_stride` must be a positive integer. Received: first_stride=0"),
        ({"batch_norm_momentum": 1.5}, r"`batch_norm_momentum` must be in \[0, 1\). Received: batch_norm_momentum=1.5"),
    ],
)
def test_what_it_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        wide_resnet(**{"depth": 10, "widen_factor": 1, "num_classes": 10, **arguments})
