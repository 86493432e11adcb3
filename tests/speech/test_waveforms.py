"""`pad_waveforms` and `read_wav`."""

import wave

import numpy as np
import pytest

from keras_noisy_student.speech import pad_waveforms, read_wav


def write_wav(path, samples, *, sample_rate=8000, sample_width=2):
    """Samples `(samples, channels)` as a WAV file, by Python's own writer."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(sample_width)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype({1: np.uint8, 2: np.int16}[sample_width]).tobytes())
    return path


def test_waveforms_are_padded_with_zeros():
    padded = pad_waveforms([np.float64([0.5, -0.5]), np.float32([1.0])], num_samples=3)
    assert padded["waveform"].dtype == np.float32
    assert padded["waveform"].tolist() == [[0.5, -0.5, 0.0], [1.0, 0.0, 0.0]]
    assert padded["length"].tolist() == [2, 1]


def test_sixteen_bits_stay_sixteen_bits_unless_there_are_floats_too():
    integers = np.int16([2**14, -(2**15)])
    assert pad_waveforms([integers])["waveform"].dtype == np.int16
    mixed = pad_waveforms([integers, np.float32([0.25])])["waveform"]
    assert mixed.tolist() == [[0.5, -1.0], [0.25, 0.0]]


@pytest.mark.parametrize(
    ("waveforms", "message"),
    [
        ([np.zeros(2), np.zeros(0)], r"must have samples. Received: none for utterance 1. Leave it out"),
        ([np.array([0.0, np.nan])], r"must be finite. Received: NaN or infinity in utterance 0"),
        ([np.zeros((2, 2))], r"shape \(samples,\).* Received: shape \(2, 2\), dtype float64 for utterance 0"),
        ([np.zeros(2, np.int32)], r"float in \[-1, 1\] or int16. Received: shape \(2,\), dtype int32 for utterance 0"),
        ([np.zeros(2), np.zeros(9)], r"at most num_samples=8 samples. Received: 9 in utterance 1. Pass a larger"),
    ],
)
def test_waveforms_that_cannot_be(waveforms, message):
    with pytest.raises(ValueError, match=message):
        pad_waveforms(waveforms, num_samples=8)


def test_a_wav_file_is_read_and_channels_become_their_mean(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, (50, 2))
    path = write_wav(tmp_path / "two.wav", samples)
    np.testing.assert_allclose(read_wav(path, sample_rate=8000), samples.mean(axis=1) / 2**15, atol=1e-6)


def test_another_sample_rate_is_refused(tmp_path):
    path = write_wav(tmp_path / "fast.wav", np.zeros((5, 1)), sample_rate=44_100)
    with pytest.raises(ValueError, match=r"that of the features, 8000 Hz\. Received: .*fast.wav of 44100 Hz\. Conv"):
        read_wav(path, sample_rate=8000)


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "text.wav").write_text("no waveform")
    eight_bits = write_wav(tmp_path / "coarse.wav", np.zeros((5, 1)), sample_width=1)
    for path in (tmp_path / "text.wav", eight_bits):
        with pytest.raises(ValueError, match=rf"WAV file of 16 bits a sample. Received: .*{path.name}, of which"):
            read_wav(path, sample_rate=8000)
    with pytest.raises(ValueError, match=r"must have samples. Received: none for .*empty.wav"):
        read_wav(write_wav(tmp_path / "empty.wav", np.zeros((0, 1))), sample_rate=8000)
    with pytest.raises(OSError, match=r"absent.wav cannot be read"):
        read_wav(tmp_path / "absent.wav", sample_rate=8000)
