import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.layer_contract import check_layer

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

UNITS, NUM_FEATURES = 4, 6
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(3, 5, NUM_FEATURES)).astype("float32")
MASK = np.array([[True, False, True, True, False], [True] * 5, [False] * 5])
WEIGHTS = [RNG.normal(size=shape).astype("float32") for shape in ((NUM_FEATURES, UNITS), (UNITS,), (UNITS,))]


def _layer(**arguments):
    layer = kns.video.TemporalAttentionPooling(UNITS, **arguments)
    layer.build(FEATURES.shape)
    layer.set_weights(WEIGHTS)
    return layer


def _by_definition(clip, is_valid):
    """One clip, frame by frame."""
    kernel, bias, context = WEIGHTS
    exponentials = [
        np.exp(context @ np.tanh(frame @ kernel + bias)) if valid else 0.0
        for frame, valid in zip(clip, is_valid, strict=True)
    ]
    weights = np.array(exponentials) / (sum(exponentials) or 1.0)
    return sum(weight * frame for weight, frame in zip(weights, clip, strict=True)), weights


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_pools_by_the_softmax_of_the_scores_of_valid_frames(mask, jit_compile):
    layer = _layer()
    pool = tf.function(lambda x: layer(x, mask=mask, return_attention_scores=True), jit_compile=jit_compile)
    pooled, weights = pool(FEATURES)
    np.testing.assert_allclose(layer(FEATURES, mask=mask), pooled, rtol=1e-5, atol=1e-6)
    for row, clip in enumerate(FEATURES):
        expected = _by_definition(clip, [True] * 5 if mask is None else mask[row])
        np.testing.assert_allclose(pooled[row], expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(weights[row], expected[1], rtol=1e-5, atol=1e-7)


def test_a_clip_without_valid_frames_is_pooled_to_zeros_and_has_finite_gradients():
    layer, features = _layer(), tf.constant(FEATURES)
    with tf.GradientTape() as tape:
        tape.watch(features)
        pooled = layer(features, mask=MASK)
        loss = tf.reduce_sum(pooled**2)
    np.testing.assert_array_equal(pooled[2], 0)
    for gradient in tape.gradient(loss, [features, *layer.trainable_variables]):
        assert np.isfinite(gradient).all()


def test_before_training_all_valid_frames_weigh_the_same():
    layer = kns.video.TemporalAttentionPooling(UNITS)
    np.testing.assert_allclose(layer(FEATURES), FEATURES.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer(FEATURES, mask=MASK)[0], FEATURES[0][MASK[0]].mean(axis=0), rtol=1e-5)


def test_the_mask_of_keras_is_used_and_ends_here():
    features = np.where(MASK[:, :, None], FEATURES, 0)
    inputs = keras.Input((None, NUM_FEATURES))
    layer = _layer()
    pooled = layer(keras.layers.Masking()(inputs))
    assert getattr(pooled, "_keras_mask", None) is None
    model = keras.Model(inputs, pooled)
    np.testing.assert_allclose(model.predict(features, verbose=0), layer(FEATURES, mask=MASK), rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_softmax_is_of_float32_under_mixed_precision(policy):
    pooled, weights = _layer(dtype=policy)(FEATURES, return_attention_scores=True)
    assert pooled.dtype == policy.removeprefix("mixed_")
    assert weights.dtype == "float32"
    np.testing.assert_allclose(np.sum(weights, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights, _layer()(FEATURES, return_attention_scores=True)[1], atol=0.02)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_symbolic_call_tells_shapes_and_dtypes(policy):
    layer = _layer(dtype=policy)
    symbolic = layer(keras.Input((None, NUM_FEATURES)), return_attention_scores=True)
    for tensor, actual in zip(symbolic, layer(FEATURES, return_attention_scores=True), strict=True):
        assert tensor.dtype == actual.dtype.name
    assert [tensor.shape for tensor in symbolic] == [(None, NUM_FEATURES), (None, None)]
    assert layer.compute_output_shape((None, 5, NUM_FEATURES)) == (None, NUM_FEATURES)


def test_fulfils_the_contract_of_layers(tmp_path):
    check_layer(kns.video.TemporalAttentionPooling, {"units": UNITS}, FEATURES, tmp_path)


@pytest.mark.parametrize("units", [0, 1.5, True, None])
def test_units_must_be_a_positive_integer(units):
    with pytest.raises(ValueError, match=rf"`units` must be a positive integer\. Received: units={units}\."):
        kns.video.TemporalAttentionPooling(units)


@pytest.mark.parametrize("shape", [(2, 6), (2, 5, 6, 1), (2, 5, None)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"`features` must have shape `\(batch, time, features\)`.*Received: features"):
        kns.video.TemporalAttentionPooling(UNITS)(keras.KerasTensor(shape))


def test_a_mask_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"`mask` must have shape `\(batch, time\)`\. Received: mask of shape \(5,\)"):
        _layer()(FEATURES, mask=MASK[0])
