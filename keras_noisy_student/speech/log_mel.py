"""`LogMel`: from a waveform to the log-mel features that speech networks see."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import POSITIVE, check_count

_SILENCE = 1e-6
"""The least mel amplitude: the logarithm of an utterance of zeros would be infinite."""
_LEAST_DEVIATION = 1e-3
"""That a bin is divided by at least: one that is the same in all frames becomes 0."""


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class LogMel(keras.layers.Layer):
    """Log-mel features of waveforms, each bin with mean 0 and variance 1 over the valid frames of an utterance.

    A frame is a Hann window of the waveform; frames that reach beyond the end of the utterance do not count. What is
    quieter than the loudest bin of an utterance by more than `dynamic_range` is raised to that: the logarithms of
    digital silence, far below all others, would decide on mean and variance. Neither padding, the batch nor the
    loudness changes the features of an utterance. What is shorter than a window has one frame, which does not count.

    Args:
        sample_rate: of the waveforms, in Hz.
        num_mel_bins: number of bins.
        frame_length: of a window, in seconds.
        frame_step: from one frame to the next, in seconds.
        lowest: frequency of the first bin, in Hz; the last one ends at half the sample rate.
        dynamic_range: in decibels.
        **kwargs: what every `keras.layers.Layer` takes, such as `name` and `dtype`.

    Call arguments:
        waveforms: `(batch, samples)`, float in [-1, 1] or int16, all of whose samples are valid; or a dict of such a
            `"waveform"` and its `"length"`, the number of valid samples, integers `(batch,)`.

    Returns:
        A dict of `"features"` `(batch, frames, num_mel_bins)`, 0 in padding, and `"length"`, the number of valid
        frames, int32 `(batch,)`: what `SpecAugment` and networks of speech take.

    Raises:
        ValueError: for a value out of range, or waveforms of another rank.

    Example:
        >>> front_end = kns.speech.LogMel(sample_rate=8000, num_mel_bins=40)
        >>> heard = front_end({"waveform": np.random.randn(2, 8000), "length": np.array([8000, 4000])})
        >>> heard["features"].shape, heard["length"].numpy()
        (TensorShape([2, 98, 40]), array([98, 48], dtype=int32))
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        num_mel_bins: int = 80,
        frame_length: float = 0.025,
        frame_step: float = 0.01,
        lowest: float = 20.0,
        dynamic_range: float = 60.0,
        **kwargs: Any,
    ) -> None:
        # In half precision a waveform would lose its quiet parts.
        super().__init__(autocast=False, **kwargs)
        check_count("sample_rate", sample_rate)
        check_count("num_mel_bins", num_mel_bins)
        POSITIVE.check("frame_length", frame_length)
        POSITIVE.check("frame_step", frame_step)
        POSITIVE.check("dynamic_range", dynamic_range)
        if lowest not in POSITIVE or lowest >= sample_rate / 2:
            raise ValueError(
                f"`lowest` must be a frequency above 0 and below half the sample rate, {sample_rate / 2:g} Hz. "
                f"Received: lowest={lowest!r}."
            )
        self.sample_rate = int(sample_rate)
        self.num_mel_bins = int(num_mel_bins)
        self.frame_length, self.frame_step, self.lowest = float(frame_length), float(frame_step), float(lowest)
        self.dynamic_range = float(dynamic_range)
        self._window = max(1, round(sample_rate * frame_length))
        self._step = max(1, round(sample_rate * frame_step))

    def call(self, waveforms: Any) -> dict[str, Any]:
        """Returns features and their lengths."""
        is_padded = isinstance(waveforms, Mapping)
        samples = tf.convert_to_tensor(waveforms["waveform"] if is_padded else waveforms)
        if len(samples.shape) != 2:
            raise ValueError(
                f"Waveforms must have shape `(batch, samples)`. Received: shape {tuple(samples.shape)}. Put one "
                "utterance into a batch with `waveform[None]`; of several channels take the mean."
            )
        batch_size, num_samples = tf.unstack(tf.shape(samples))
        length = tf.cast(waveforms["length"], tf.int32) if is_padded else tf.fill([batch_size], num_samples)
        num_frames = self.num_frames(tf.minimum(length, num_samples))
        samples = tf.pad(samples, [[0, 0], [0, tf.maximum(self._window - num_samples, 0)]])
        amplitudes = self._mel_amplitudes(_as_float(samples))
        is_valid = tf.sequence_mask(num_frames, tf.shape(amplitudes)[1])
        features = _normalized(self._logarithms(amplitudes, is_valid), is_valid)
        return {"features": tf.cast(features, self.compute_dtype), "length": num_frames}

    @property
    def element_spec(self) -> dict[str, tf.TensorSpec]:
        """The spec of one utterance of any length."""
        return {"waveform": tf.TensorSpec([None], tf.float32), "length": tf.TensorSpec([], tf.int32)}

    def num_frames(self, num_samples: Any) -> Any:
        """The number of frames that fit into so many samples."""
        return tf.maximum((num_samples - self._window) // self._step + 1, 0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("sample_rate", "num_mel_bins", "frame_length", "frame_step", "lowest", "dynamic_range")
        config = {name: value for name, value in super().get_config().items() if name != "autocast"}
        return {**config, **{name: getattr(self, name) for name in names}}

    def _mel_amplitudes(self, samples: tf.Tensor) -> tf.Tensor:
        amplitudes = tf.abs(tf.signal.stft(samples, self._window, self._step))
        mel_matrix = tf.signal.linear_to_mel_weight_matrix(
            self.num_mel_bins, amplitudes.shape[-1], self.sample_rate, self.lowest, self.sample_rate / 2
        )
        return tf.tensordot(amplitudes, mel_matrix, 1)

    def _logarithms(self, amplitudes: tf.Tensor, is_valid: tf.Tensor) -> tf.Tensor:
        """Of amplitudes that are raised into the dynamic range below the largest in a valid frame."""
        loudest = tf.reduce_max(amplitudes * tf.cast(is_valid, tf.float32)[:, :, None], axis=[1, 2], keepdims=True)
        quietest = tf.maximum(loudest * 10 ** (-self.dynamic_range / 20), _SILENCE)
        return tf.math.log(tf.maximum(amplitudes, quietest))


def _as_float(samples: tf.Tensor) -> tf.Tensor:
    if samples.dtype == tf.int16:
        return tf.cast(samples, tf.float32) / 2**15
    return tf.cast(samples, tf.float32)


def _normalized(features: tf.Tensor, is_valid: tf.Tensor) -> tf.Tensor:
    """Mean 0 and variance 1 of each bin over the valid frames `(batch, frames)`; 0 in the others."""
    weights = tf.cast(is_valid, tf.float32)[:, :, None]
    mean, variance = tf.nn.weighted_moments(features, axes=[1], frequency_weights=weights, keepdims=True)
    deviation = tf.maximum(tf.sqrt(variance), _LEAST_DEVIATION)
    return tf.where(is_valid[:, :, None], (features - mean) / deviation, 0.0)
