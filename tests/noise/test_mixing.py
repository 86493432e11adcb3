"""`mix`: images, targets and weights by the layer's own draws, and what is refused."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise.mixing import mix
from tests.toy_data import distributions

LAYERS = [keras.layers.MixUp, keras.layers.CutMix]
WEIGHTS = np.array([1, 0.25, 2, 0, 1, 0.5, 1, 3], "float32")


def make_images(num=8, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, 5, 4, 3)).astype(dtype)


def recording(layer_class):
    """A layer, and the list to which it adds what it draws in eager mode."""

    class Recording(layer_class):
        def get_random_transformation(self, *arguments, **keywords):
            transformation = super().get_random_transformation(*arguments, **keywords)
            transformations.append({name: np.asarray(value) for name, value in transformation.items()})
            return transformation

    transformations = []
    return Recording(seed=0), transformations


def mixed_row(transformation, row):
    """The partner of a row, and how much of the row is its own."""
    return transformation["permutation_order"][row], transformation["mix_weight"].ravel()[row]


@pytest.mark.parametrize("layer_class", LAYERS)
def test_a_loss_of_the_mixed_rows_is_the_weighted_sum_of_the_losses_of_both(layer_class):
    (layer, transformations), targets = recording(layer_class), distributions(8)
    _, mixed_targets, weights = mix(layer, tf.constant(make_images()), tf.constant(targets), tf.constant(WEIGHTS))
    (transformation,), log_outputs = transformations, np.log(distributions(8, seed=1))
    for row in range(8):
        partner, share = mixed_row(transformation, row)
        own_loss, partner_loss = (-sum(targets[i] * log_outputs[row]) for i in (row, partner))
        expected = share * WEIGHTS[row] * own_loss + (1 - share) * WEIGHTS[partner] * partner_loss
        received = weights[row] * -sum(mixed_targets[row] * log_outputs[row])
        assert float(received) == pytest.approx(expected, rel=1e-5)
        assert float(weights[row]) == pytest.approx(share * WEIGHTS[row] + (1 - share) * WEIGHTS[partner], rel=1e-5)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_mixed_targets_are_distributions(layer_class):
    """The gradient of TensorFlow's cross entropy is right for rows that sum to 1 only."""
    weights = tf.constant(np.maximum(WEIGHTS, 0.1))
    _, targets, _ = mix(layer_class(seed=0), tf.constant(make_images()), tf.constant(distributions(8)), weights)
    np.testing.assert_allclose(tf.reduce_sum(targets, axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
@pytest.mark.parametrize("layer_class", LAYERS)
def test_images_are_mixed_in_float32_as_the_layer_draws(layer_class, dtype):
    (layer, transformations), images = recording(layer_class), make_images(dtype=dtype)
    mixed, _, _ = mix(layer, tf.constant(images), tf.constant(distributions(8)), tf.ones(8))
    (transformation,) = transformations
    assert mixed.dtype == tf.float32
    for row in range(8):
        partner, share = mixed_row(transformation, row)
        if layer_class is keras.layers.MixUp:
            expected = share * images[row].astype("float32") + (1 - share) * images[partner].astype("float32")
        else:
            expected = np.where(transformation["batch_masks"][row], images[partner], images[row])
        np.testing.assert_allclose(mixed[row], expected, rtol=1e-5, atol=1e-3)
    assert np.any(mixed.numpy() != images)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_rows_of_weight_0_stay_finite(layer_class):
    layer, targets = layer_class(seed=0), tf.constant(distributions(8))
    mixed, mixed_targets, weights = mix(layer, tf.constant(make_images()), targets, tf.zeros(8))
    for tensor in (mixed, mixed_targets):
        assert np.isfinite(tensor).all()
    np.testing.assert_array_equal(weights, np.zeros(8))


@pytest.mark.parametrize("layer_class", LAYERS)
def test_a_graph_of_unknown_batch_size_gives_the_same_as_eager_mode(layer_class):
    arguments = [tf.constant(value) for value in (make_images(), distributions(8), WEIGHTS)]
    layer, in_graph = layer_class(seed=3), tf.function(functools.partial(mix, layer_class(seed=3)))
    of_unknown_size = in_graph.get_concrete_function(*(tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in arguments))
    for one, other in zip(of_unknown_size(*arguments), mix(layer, *arguments), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_layers_of_keras_cv_plug_in():
    keras_cv = pytest.importorskip("keras_cv")
    for layer in (keras_cv.layers.MixUp(seed=0), keras_cv.layers.CutMix(seed=0)):
        images, targets, weights = mix(layer, tf.constant(make_images()), tf.one_hot(tf.range(8), 8), tf.ones(8))
        assert np.any(images.numpy() != make_images())
        np.testing.assert_allclose(tf.reduce_sum(targets, axis=-1), 1, rtol=1e-5)
        np.testing.assert_allclose(weights, 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "received"),
    [
        ((8, 4), r"\(8, 4\)\. Features \(batch, frames, bins\) become images of one channel by `x\[\.\.\., None\]`"),
        ((8, 6, 4), r"\(8, 6, 4\)\."),
        ((8, 2, 5, 4, 3), r"\(8, 2, 5, 4, 3\)\."),
    ],
)
def test_what_is_no_batch_of_images_is_refused(shape, received):
    message = r"`mixing` takes images, one tensor of shape \(batch, height, width, channels\)\. Received: "
    with pytest.raises(ValueError, match=message + received):
        mix(keras.layers.MixUp(), tf.zeros(shape), tf.zeros((8, 3)), tf.ones(8))
    with pytest.raises(ValueError, match=message + r"\{'a': "):
        mix(keras.layers.MixUp(), {"a": tf.zeros(shape)}, tf.zeros((8, 3)), tf.ones(8))


@pytest.mark.parametrize(
    ("call", "received"),
    [
        (lambda batch: batch["images"], r"EagerTensor\."),
        (lambda batch: {"images": batch["images"]}, r"\{'images': TensorShape\(\[8, 5, 4, 3\]\)\}"),
        (lambda batch: {**batch, "labels": batch["labels"][:, :-1]}, r".*'labels': TensorShape\(\[8, 3\]\)"),
        (lambda batch: {**batch, "images": batch["images"][:4]}, r".*'images': TensorShape\(\[4, 5, 4, 3\]\)"),
    ],
)
def test_a_layer_that_returns_something_else_is_refused(call, received):
    class Layer(keras.layers.Layer):
        def call(self, batch):
            return call(batch)

    message = r"`mixing` must return images and labels of the shapes that it was given: \{.*\}\. Received: "
    with pytest.raises(ValueError, match=message + received):
        mix(Layer(), tf.constant(make_images()), tf.constant(distributions(8)), tf.ones(8))


@pytest.mark.parametrize(
    "mixing", [0.2, "mixup", keras.layers.MixUp, lambda batch: batch], ids=["number", "string", "class", "function"]
)
def test_noise_refuses_what_is_no_layer(mixing):
    message = (
        r'`mixing` must be a Keras layer from \{"images", "labels"\} to the same, such as keras\.layers\.MixUp\(\)'
    )
    with pytest.raises(ValueError, match=message + r"\. Received: mixing="):
        kns.Noise(mixing=mixing)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("layer_class", LAYERS)
def test_noise_refuses_a_layer_of_half_precision(layer_class, policy):
    message = (
        r"`mixing` must compute in float32.*Received: mixing of compute_dtype b?float16\. Build it with "
        rf'{layer_class.__name__}\(\.\.\., dtype="float32"\)\.'
    )
    with pytest.raises(ValueError, match=message):
        kns.Noise(mixing=layer_class(dtype=policy))


@pytest.mark.parametrize("layer_class", LAYERS)
def test_keras_fails_in_half_precision(layer_class):
    """Where this test fails, Keras has mended it, and `check_mixing_layer` need not say so."""
    batch = {"images": tf.constant(make_images()), "labels": tf.constant(distributions(8))}
    with pytest.raises((ValueError, TypeError)):
        tf.function(layer_class(dtype="mixed_bfloat16"))(batch)
