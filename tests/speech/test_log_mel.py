"""`LogMel`, against a loop over frames."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech import LogMel

RATE = 8000


def waveforms(*lengths, seed=0, padded_to=None):
    rng = np.random.default_rng(seed)
    padded = np.zeros((len(lengths), padded_to or max(lengths)), np.float32)
    for row, length in zip(padded, lengths, strict=True):
        row[:length] = 0.1 * rng.normal(size=length)
    return {"waveform": padded, "length": np.array(lengths, np.int32)}


def reference(waveform, num_mel_bins, *, dynamic_range=60.0):
    """Frame by frame, bin by bin."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    frames = [waveform[start : start + 200] * window for start in range(0, len(waveform) - 199, 80)]
    amplitudes = np.abs(np.fft.rfft(frames, n=256))
    mels = tf.signal.linear_to_mel_weight_matrix(num_mel_bins, 129, RATE, 20.0, 4000.0).numpy()
    amplitudes = amplitudes @ mels
    decibels = 20 * np.log10(np.maximum(amplitudes, 1e-6))
    features = np.maximum(decibels, decibels.max() - dynamic_range)
    return (features - features.mean(axis=0)) / features.std(axis=0)


def test_features_are_those_of_a_loop_over_frames():
    batch = waveforms(1000, 760, 200)
    heard = LogMel(RATE, num_mel_bins=12)(batch)
    assert heard["length"].numpy().tolist() == [11, 8, 1]
    for row, (waveform, length) in enumerate(zip(batch["waveform"], batch["length"], strict=True)):
        num_frames = int(heard["length"][row])
        if num_frames > 1:
            np.testing.assert_allclose(heard["features"][row, :num_frames], reference(waveform[:length], 12), atol=1e-3)
        assert not heard["features"][row, num_frames:].numpy().any()


def test_neither_padding_nor_loudness_changes_features():
    layer = LogMel(RATE, num_mel_bins=12)
    short, long = (layer(waveforms(900, padded_to=size)) for size in (900, 3000))
    np.testing.assert_allclose(short["features"][0], long["features"][0, : short["features"].shape[1]], atol=1e-4)
    loud = waveforms(900)
    loud["waveform"] *= 5
    np.testing.assert_allclose(layer(loud)["features"], short["features"], atol=1e-4)


@pytest.mark.parametrize("dynamic_range", [30.0, 60.0])
def test_silence_is_raised_into_the_dynamic_range(dynamic_range):
    batch = waveforms(2000, padded_to=2400)
    batch["waveform"][0, 400:1600] = 0
    heard = LogMel(RATE, num_mel_bins=12, dynamic_range=dynamic_range)(batch)
    expected = reference(batch["waveform"][0, :2000], 12, dynamic_range=dynamic_range)
    np.testing.assert_allclose(heard["features"][0, : len(expected)], expected, atol=1e-3)


def test_an_utterance_of_zeros_has_features_of_zero():
    heard = LogMel(RATE)(np.zeros((1, 1000), np.float32))
    assert int(heard["length"][0]) == 11
    np.testing.assert_allclose(heard["features"], 0, atol=1e-2)


def test_all_samples_are_valid_where_no_length_is_given():
    batch = waveforms(800)
    layer = LogMel(RATE, num_mel_bins=12)
    for name in ("features", "length"):
        np.testing.assert_array_equal(layer(batch["waveform"])[name], layer(batch)[name])


def test_sixteen_bits_are_scaled():
    batch = waveforms(800)
    as_integers = np.round(batch["waveform"] * 2**15).astype(np.int16)
    layer = LogMel(RATE, num_mel_bins=12)
    np.testing.assert_allclose(layer(as_integers)["features"], layer(as_integers / 2**15)["features"], atol=1e-5)


@pytest.mark.parametrize("length", [0, 199])
def test_an_utterance_shorter_than_a_frame_has_none(length):
    heard = LogMel(RATE)(waveforms(length, 1000))
    assert int(heard["length"][0]) == 0
    assert not heard["features"][0].numpy().any()


def test_a_batch_shorter_than_a_frame_has_one_that_does_not_count():
    heard = LogMel(RATE)(np.ones((2, 50), np.float32))
    assert heard["features"].shape == (2, 1, 80)
    assert heard["length"].numpy().tolist() == [0, 0]


def test_a_length_beyond_the_end_is_that_of_the_samples():
    batch = waveforms(1000)
    expected = LogMel(RATE)(batch)["length"]
    np.testing.assert_array_equal(LogMel(RATE)({**batch, "length": np.array([9999])})["length"], expected)


def test_silence_is_finite():
    assert np.isfinite(LogMel(RATE)(np.zeros((1, 1000), np.float32))["features"]).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_it_is_a_layer_of_a_model_that_can_be_saved(tmp_path, policy):
    inputs = {
        "waveform": keras.Input((None,), name="waveform"),
        "length": keras.Input((), dtype="int32", name="length"),
    }
    model = keras.Model(inputs, LogMel(RATE, num_mel_bins=12, dtype=policy)(inputs))
    batch = waveforms(1000, 400)
    expected = model.predict(batch, verbose=0)
    assert expected["features"].dtype == ("float16" if policy == "mixed_float16" else "float32")
    np.testing.assert_allclose(expected["features"], LogMel(RATE, num_mel_bins=12)(batch)["features"], atol=5e-3)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras").predict(batch, verbose=0)
    for name in ("features", "length"):
        np.testing.assert_array_equal(restored[name], expected[name])


def test_its_config_is_its_arguments():
    arguments = {"frame_length": 0.032, "frame_step": 0.016, "lowest": 60.0, "dynamic_range": 50.0, "name": "front_end"}
    config = LogMel(16_000, num_mel_bins=64, **arguments).get_config()
    assert config.items() >= arguments.items()
    assert LogMel.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sample_rate": 0}, r"`sample_rate` must be a positive integer"),
        ({"num_mel_bins": 0}, r"`num_mel_bins` must be a positive integer"),
        ({"frame_length": 0.0}, r"`frame_length` must be in \(0, inf\)"),
        ({"frame_step": -1.0}, r"`frame_step` must be in"),
        ({"dynamic_range": 0.0}, r"`dynamic_range` must be in \(0, inf\)"),
        ({"lowest": 5000.0}, r"below half the sample rate, 4000 Hz. Received: lowest=5000.0"),
    ],
)
def test_values_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        LogMel(**{"sample_rate": RATE, **wrong})


def test_one_waveform_is_no_batch():
    with pytest.raises(ValueError, match=r"Received: shape \(800,\). Put one utterance into a batch"):
        LogMel(RATE)(np.zeros(800, np.float32))
