import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.layer_contract import check_layer

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

NUM_CLIPS, NUM_FRAMES = 4, 6
MOMENTUM = 0.9


def _clips():
    """Clips that get brighter."""
    noise = np.random.default_rng(0).normal(size=(NUM_CLIPS, NUM_FRAMES, 5, 5, 2))
    return (noise + np.arange(NUM_FRAMES)[:, None, None, None]).astype("float32")


def _frames():
    return _clips().reshape(-1, 5, 5, 2)


def _encoder():
    return keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            keras.layers.BatchNormalization(momentum=MOMENTUM),
            keras.layers.Conv2D(3, 3, kernel_initializer=keras.initializers.HeNormal(seed=0)),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


@pytest.mark.parametrize("training", [False, True])
def test_frames_are_encoded_as_one_batch_of_images(training):
    encoder, of_images = _encoder(), _encoder()
    features = kns.video.PerFrame(encoder)(_clips(), training=training)
    expected = of_images(_frames(), training=training)
    assert features.shape == (NUM_CLIPS, NUM_FRAMES, 3)
    np.testing.assert_allclose(features, np.reshape(expected, features.shape), atol=1e-6)
    for weight, expected in zip(encoder.weights, of_images.weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_the_layer_of_keras_still_normalises_each_frame_by_itself():
    layer = keras.layers.BatchNormalization(momentum=MOMENTUM)
    normalised = keras.layers.TimeDistributed(layer)(_clips(), training=True)
    np.testing.assert_allclose(np.mean(normalised, axis=(0, 2, 3)), 0, atol=1e-5)
    moved_once = (1 - MOMENTUM) * _frames().mean(axis=(0, 1, 2))
    assert np.all(np.abs(layer.moving_mean - moved_once) > 0.1)


def test_the_number_of_clips_and_frames_may_be_unknown_in_training():
    encoder = keras.Sequential([_encoder(), keras.layers.Dropout(0.5, seed=0)])
    layer = kns.video.PerFrame(encoder)
    encode = tf.function(lambda clips: layer(clips, training=True), [tf.TensorSpec([None, None, 5, 5, 2])])
    assert encode(_clips()).shape == (NUM_CLIPS, NUM_FRAMES, 3)
    (mean,) = [weight for weight in encoder.weights if weight.path.endswith("moving_mean")]
    np.testing.assert_allclose(mean, (1 - MOMENTUM) * _frames().mean(axis=(0, 1, 2)), rtol=1e-5)


def test_random_layers_draw_anew_for_every_frame():
    dropped = kns.video.PerFrame(keras.layers.Dropout(0.5, seed=0))(np.ones((2, 3, 5, 5, 2)), training=True)
    assert len({frame.tobytes() for frame in np.reshape(dropped, (6, -1))}) == 6


def test_sizes_that_are_unknown_stay_unknown_in_a_symbolic_call():
    layer = kns.video.PerFrame(keras.layers.Conv2D(4, 3))
    assert layer(keras.Input((None, None, None, 2))).shape == (None, None, None, None, 4)
    assert layer(_clips()[0]).shape == (NUM_FRAMES, 3, 3, 4)


def test_the_layer_decides_on_the_dtypes():
    clips, half = _clips(), keras.layers.Dense(3, dtype="mixed_bfloat16")
    layer = kns.video.PerFrame(half)
    assert layer(clips).dtype == layer(keras.Input((5, 5, 5, 2))).dtype == "bfloat16"
    whole = kns.video.PerFrame(keras.layers.Dense(3), dtype="mixed_bfloat16")
    assert whole(clips).dtype == "float32"


def test_a_mask_is_handed_on_to_the_next_layer():
    clips, mask = tf.constant(_clips()), tf.constant([[True] * 4 + [False] * 2] * NUM_CLIPS)
    clips._keras_mask = mask
    features = kns.video.PerFrame(keras.layers.Flatten())(clips)
    pooled = kns.video.TemporalAttentionPooling(2)(features)
    np.testing.assert_allclose(pooled, np.mean(features[:, :4], axis=1), rtol=1e-5, atol=1e-6)


def test_noise_finds_the_layers_inside():
    encoder = keras.Sequential([keras.layers.Dropout(0.1, name="inside"), keras.layers.Flatten()])
    model = keras.Sequential([keras.Input((6, 5, 5, 2)), kns.video.PerFrame(encoder), keras.layers.Dropout(0.1)])
    layers = kns.set_model_noise(model, dropout_rate=0.5)
    assert len(layers) == 2
    assert layers[0].layer_name == "inside"


def test_fulfils_the_contract_of_layers(tmp_path):
    check_layer(kns.video.PerFrame, {"layer": _encoder()}, _clips(), tmp_path)


def test_what_is_no_layer_is_refused():
    with pytest.raises(ValueError, match=r"`layer` must be a Keras layer or model\. Received: layer=<function"):
        kns.video.PerFrame(lambda images: images)


@pytest.mark.parametrize("shape", [(5, 5, 2), (1, 2, 3, 5, 5, 2)])
def test_clips_of_another_rank_are_refused(shape):
    with pytest.raises(ValueError, match=r"`clips` must have shape `\(batch, time, .*Received: clips of shape"):
        kns.video.PerFrame(keras.layers.Flatten())(tf.zeros(shape))
