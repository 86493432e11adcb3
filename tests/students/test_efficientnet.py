"""The networks of the paper: sizes, inputs, outputs, and the noise that they take."""

import math
import re
import sys
import types

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.students.efficientnet import IMAGENET_MEAN, IMAGENET_STD, efficientnet
from keras_noisy_student.students.scaling import SCALINGS
from tests.without_weights import without_weights

REPEATS_OF_B0 = (1, 2, 2, 3, 3, 4, 1)


def small_network(**arguments):
    return efficientnet("B0", **{"num_classes": 4, "image_size": 32, "small_images": True, **arguments})


MEAN, STD = (0.1, 0.2, 0.3), (0.5, 1, 2)


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def other_network():
    with without_weights():
        return small_network(small_images=False, pixel_mean=MEAN, pixel_std=STD)


def images(height=32, width=32, batch_size=2):
    return np.random.default_rng(0).integers(0, 256, (batch_size, height, width, 3)).astype("uint8")


def resizing(network):
    (layer,) = [layer for layer in network.layers if isinstance(layer, keras.layers.Resizing)]
    return layer


def weight_shapes(network):
    """By path, without the number that Keras gives a layer that has no name of its own."""
    return [(re.sub(r"^normalization_\d+", "normalization", w.path), w.shape) for w in network.weights]


def drop_rates(network):
    return {layer.name: layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)}


def test_a_call_that_does_not_say_so_is_no_training(network):
    np.testing.assert_array_equal(network(images(40, 24)), network(images(40, 24), training=False))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "millions"), [("L0", 140), ("L1", 273), ("L2", 480)])
def test_the_largest_have_the_parameters_of_the_paper(name, millions):
    with without_weights():
        network = efficientnet(name, num_classes=1000)
        assert network.count_params() == pytest.approx(millions * 1e6, rel=0.02)
        assert resizing(network).height == resizing(network).width == SCALINGS[name].image_size


@pytest.mark.slow
@pytest.mark.parametrize("name", ["B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7"])
def test_the_others_are_those_of_keras(name):
    with without_weights():
        network = efficientnet(name, num_classes=10)
        of_keras = getattr(keras.applications, f"EfficientNet{name}")(weights=None, classes=10)
        assert weight_shapes(network) == weight_shapes(of_keras)
        assert drop_rates(network) == drop_rates(of_keras)
        assert (None, resizing(network).height, resizing(network).width, 3) == of_keras.input_shape


@pytest.mark.parametrize("name", ["B0", "B1"])
def test_model_noise_finds_the_last_layer_and_every_residual_branch(name):
    with without_weights():
        network = efficientnet(name, num_classes=4, image_size=32)
        branches = sum(math.ceil(SCALINGS[name].depth * repeats) - 1 for repeats in REPEATS_OF_B0)
        changes = kns.set_model_noise(network, dropout_rate=0.4, survival_probability=0.7)
    assert [change.kind for change in changes] == ["dropout", *["stochastic depth"] * branches]
    assert changes[0].layer_name == "top_dropout"
    expected = 0.3 * np.arange(1, branches + 1) / branches
    np.testing.assert_allclose([change.new_drop_rate for change in changes[1:]], expected)
    assert sorted(drop_rates(network).values()) == sorted(change.new_drop_rate for change in changes)


def test_a_new_network_drops_as_the_released_code_does(network):
    blocks = [(stage, block) for stage, repeats in enumerate(REPEATS_OF_B0, start=1) for block in range(repeats)]
    expected = {
        f"block{stage}{'abcd'[block]}_drop": 0.2 * place / len(blocks)
        for place, (stage, block) in enumerate(blocks)
        if block > 0
    }
    assert drop_rates(network) == pytest.approx({"top_dropout": 0.2, **expected})


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 50), (64, 33)])
def test_images_of_any_size_and_dtype_are_resized(network, height, width):
    x = images(height, width)
    outputs = network(x)
    np.testing.assert_allclose(np.sum(outputs, axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(outputs, network(x.astype("float32")))
    resized = keras.ops.image.resize(x.astype("float32"), (32, 32))
    np.testing.assert_allclose(outputs, network(resized), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("fixture", "mean", "std"), [("network", IMAGENET_MEAN, IMAGENET_STD), ("other_network", MEAN, STD)]
)
def test_pixels_are_normalised_inside(request, fixture, mean, std):
    network = request.getfixturevalue(fixture)
    normalised = keras.Model(network.inputs[0], network.get_layer("stem_conv_pad").input)
    expected = (images() / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(normalised(images()), expected, atol=1e-5)


def test_small_images_keep_a_few_pixels(network, other_network):
    assert network.get_layer("top_conv").output.shape == (None, 4, 4, 1280)
    assert other_network.get_layer("top_conv").output.shape == (None, 1, 1, 1280)


def test_logits_are_what_the_softmax_is_taken_of(network):
    logits = small_network(from_logits=True)
    logits.set_weights(network.get_weights())
    np.testing.assert_allclose(keras.ops.softmax(logits(images())), network(images()), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_is_saved_and_loaded_and_returns_float32_probabilities(tmp_path, policy):
    keras.config.set_dtype_policy(policy)
    try:
        network = small_network()
    finally:
        keras.config.set_dtype_policy("float32")
    outputs = network(images())
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(np.sum(outputs, axis=-1), 1, rtol=1e-5)
    network.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(images()), outputs)


def test_a_copy_computes_the_same(network):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    np.testing.assert_array_equal(copy(images()), network(images()))


@pytest.mark.slow
def test_a_student_trains_it():
    noise = kns.Noise(dropout_rate=0.1, survival_probability=0.9)
    student = kns.NoisyStudent(small_network(), task=kns.Classification(num_classes=4), noise=noise)
    student.compile("sgd")
    before = student.network.get_layer("stem_conv").kernel.numpy()
    labeled = images(batch_size=4), np.arange(4)
    history = student.fit(kns.joint_dataset(labeled, labeled, batch_size=4), steps_per_epoch=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert (student.network.get_layer("stem_conv").kernel.numpy() != before).any()


@pytest.mark.parametrize("module", [None, types.SimpleNamespace(EfficientNet=None)])
def test_a_keras_without_its_parts_is_an_error_that_names_them(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras.src.applications.efficientnet", module)
    message = (
        r"needs `EfficientNet` and `DEFAULT_BLOCKS_ARGS` of keras\.src\.applications\.efficientnet, as Keras 3\.15 has "
        rf"them\. Received: Keras {re.escape(keras.__version__)}, of which Python says: .+\. Install keras 3\.15"
    )
    with pytest.raises(ImportError, match=message):
        small_network()


def test_keras_still_builds_networks_by_recursion():
    """L2 is too deep for Python's usual limit: `efficientnet` raises it, which this test says when to give up."""
    before = sys.getrecursionlimit()
    inputs = keras.Input((1,))
    x = inputs
    for _ in range(500):
        x = keras.layers.Identity()(x)
    sys.setrecursionlimit(500)
    try:
        with pytest.raises(RecursionError):
            keras.Model(inputs, x)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "B8"}, r'`name` must be "B0", .*"B7", "L0", "L1" or "L2"\. Received: name=\'B8\'\.'),
        ({"num_classes": 1}, r"`num_classes` must be an integer of at least 2\. Received: num_classes=1\."),
        ({"image_size": 31}, r"`image_size` must be an integer of at least 32\. Received: image_size=31\."),
        ({"image_size": (32, 32)}, r"`image_size` must be an integer.*Received: image_size=\(32, 32\)\."),
        ({"small_images": 1}, r"`small_images` must be True or False\. Received: small_images=1\."),
        ({"from_logits": None}, r"`from_logits` must be True or False\. Received: from_logits=None\."),
        ({"pixel_mean": (1, 2)}, r"`pixel_mean` must be three finite numbers\. Received: pixel_mean=\(1, 2\)\."),
        (
            {"pixel_std": (1, 0, 1)},
            r"`pixel_std` must be three finite numbers above 0\. Received: pixel_std=\(1, 0, 1\)",
        ),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        efficientnet(**{"name": "B0", "num_classes": 4, **arguments})
