"""`attention_network`: what it takes, returns and refuses, and the noise inside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.networks import copy_weights
from keras_noisy_student.video.attention_network import attention_network

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def _clips(num_frames=9, height=16, width=16):
    return np.random.default_rng(0).integers(0, 256, (4, num_frames, height, width, 3)).astype("uint8")


def _small_encoder():
    return keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3, 4), keras.layers.Flatten()])


@pytest.fixture(scope="module")
def network():
    network = attention_network(num_classes=3, num_frames=4, frame_size=16)
    for layer in network._flatten_layers():
        # Else the order of the frames would not matter before training.
        if isinstance(layer, kns.video.TemporalAttentionPooling):
            layer.context.assign(np.ones(layer.units))
    return network


def test_clips_of_any_length_and_size_are_sampled_and_resized(network):
    clips = _clips(num_frames=11, height=20, width=12)
    frames = tf.image.resize(clips[:, [1, 4, 6, 9]].reshape(-1, 20, 12, 3), (16, 16))
    resized = tf.reshape(frames, (4, 4, 16, 16, 3))
    np.testing.assert_allclose(network.predict(clips, verbose=0), network(resized), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(network(clips), network(clips.astype("float32")))


def test_in_training_other_frames_are_taken_each_time():
    network = attention_network(keras.layers.GlobalAveragePooling2D(), num_classes=3, num_frames=2, frame_size=4)
    clips = np.tile(np.arange(20)[None, :, None, None, None], (1, 1, 4, 4, 3)).astype("uint8")
    frozen = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in frozen:
        layer.trainable = False
    assert len({network(clips, training=True).numpy().tobytes() for _ in range(8)}) > 1
    assert len({network(clips, training=False).numpy().tobytes() for _ in range(2)}) == 1


@pytest.mark.parametrize("channels", ["rgb", "stacked_grayscale"])
def test_the_encoder_sees_colours_or_what_moves(channels):
    encoder = keras.layers.GlobalAveragePooling2D()
    network = attention_network(encoder, num_classes=3, num_frames=3, frame_size=16, channels=channels)
    clips = _clips(num_frames=3).astype("float32")
    features = keras.Model(network.input, network.get_layer("encoder").output)(clips)
    seen = clips if channels == "rgb" else kns.video.StackedGrayscale()(clips)
    np.testing.assert_allclose(features, np.mean(seen, axis=(2, 3)), rtol=1e-4)


def test_the_order_of_the_frames_counts(network):
    clips = _clips(num_frames=4)
    assert np.abs(network(clips) - network(clips[:, ::-1])).max() > 1e-4


def test_branches_of_encoder_and_frames_and_the_last_layer_take_noise():
    layers = kns.set_model_noise(attention_network(num_classes=3), dropout_rate=0.5, survival_probability=0.6)
    assert [layer.new_drop_rate for layer in layers] == pytest.approx([0.5, 0.1, 0.2, 0.3, 0.4])


def test_it_is_copied_saved_and_exported(network, tmp_path):
    clips = _clips()
    copy = keras.models.clone_model(network)
    assert np.any(copy(clips) != network(clips))
    copy_weights(network, copy)
    np.testing.assert_allclose(copy(clips), network(clips), rtol=1e-5)
    network.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(clips), network(clips))
    network.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(clips.astype("float32")), network(clips), rtol=1e-4, atol=1e-6)


def test_logits_are_what_the_softmax_is_taken_of(network):
    logits = attention_network(num_classes=3, num_frames=4, frame_size=16, from_logits=True)
    copy_weights(network, logits)
    np.testing.assert_allclose(keras.ops.softmax(logits(_clips())), network(_clips()), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "jit_compile"), [("float32", True), ("mixed_bfloat16", False)])
def test_it_is_trained_with_an_encoder_of_ones_own(policy, jit_compile):
    keras.config.set_dtype_policy(policy)
    try:
        network = attention_network(_small_encoder(), num_classes=3, num_frames=4, frame_size=(16, 12))
    finally:
        keras.config.set_dtype_policy("float32")
    network.compile("adam", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    history = network.fit(_clips(), np.arange(4) % 3, epochs=2, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    np.testing.assert_allclose(network.predict(_clips(), verbose=0).sum(axis=1), 1, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "`num_classes` must be an integer of at least 2. Received: num_classes=1"),
        ({"num_frames": 0}, "`num_frames` must be an integer, 1 or more. Received: num_frames=0"),
        ({"frame_size": (48, 0)}, r"`frame_size` must be a positive integer, or a pair .*: frame_size=\(48, 0\)"),
        ({"frame_size": 48.0}, r"`frame_size` must be a positive integer, or a pair .*: frame_size=48\.0"),
        ({"channels": "gray"}, '`channels` must be "rgb" or "stacked_grayscale". Received: channels=\'gray\''),
        ({"attention_units": 0}, "`attention_units` must be a positive integer. Received: attention_units=0"),
        ({"from_logits": 1}, "`from_logits` must be True or False. Received: from_logits=1"),
        ({"encoder": "small"}, "`encoder` must be a Keras layer or model, or None. Received: encoder='small'"),
        (
            {"encoder": keras.layers.Conv2D(4, 3, name="a_map")},
            r"`encoder` must return `\(batch, features\)`.* Received: a_map, which returns \(None, 46, 46, 4\)\. Let",
        ),
    ],
)
def test_what_it_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        attention_network(**{"num_classes": 3, **arguments})
