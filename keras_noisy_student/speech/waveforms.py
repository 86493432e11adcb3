"""Waveforms of different lengths in one array, and from WAV files."""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import check_count


def pad_waveforms(waveforms: Sequence[np.ndarray], *, num_samples: int | None = None) -> dict[str, np.ndarray]:
    """Writes waveforms as one array, filled up with zeros at the ends.

    Args:
        waveforms: samples of each utterance, `(samples,)`, float in [-1, 1] or int16.
        num_samples: of the rows; those of the longest utterance by default.

    Returns:
        A dict of `"waveform"`, float32 or int16 `(utterances, num_samples)`, and `"length"`, int32 `(utterances,)`, as
        `LogMel` takes them.

    Raises:
        ValueError: for a waveform that is too long, empty, not finite, or not of that shape and dtype. It is named.

    Example:
        >>> padded = kns.speech.pad_waveforms([np.ones(2), np.ones(3)])
        >>> padded["waveform"].tolist(), padded["length"].tolist()
        ([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], [2, 3])
    """
    arrays = [np.asarray(waveform) for waveform in waveforms]
    for place, array in enumerate(arrays):
        _check_waveform(array, f"utterance {place}")
    length = np.array([len(array) for array in arrays], np.int32)
    longest = int(length.max(initial=0))
    num_samples = longest if num_samples is None else num_samples
    if longest > num_samples:
        raise ValueError(
            f"`waveforms` must have at most num_samples={num_samples} samples. Received: {longest} in utterance "
            f"{length.argmax()}. Pass a larger `num_samples`, or leave it out."
        )
    are_integers = bool(arrays) and all(array.dtype == np.int16 for array in arrays)
    padded = np.zeros((len(arrays), num_samples), np.int16 if are_integers else np.float32)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array / 2**15 if array.dtype == np.int16 and not are_integers else array
    return {"waveform": padded, "length": length}


def read_wav(path: str | os.PathLike[str], *, sample_rate: int) -> np.ndarray:
    """Reads a WAV file of 16 bits a sample; several channels become their mean.

    Args:
        path: of the file.
        sample_rate: that it must have, in Hz.

    Returns:
        float32 `(samples,)`, in [-1, 1].

    Raises:
        ValueError: for a file that is no such WAV file, is empty, or has another sample rate.
        OSError: when it cannot be read.
    """
    check_count("sample_rate", sample_rate)
    try:
        content = tf.io.read_file(os.fspath(path))
    except tf.errors.OpError as error:
        raise OSError(f"{path} cannot be read: {error.message}") from error
    try:
        samples, found = tf.audio.decode_wav(content)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(
            f"`path` must be a WAV file of 16 bits a sample. Received: {path}, of which TensorFlow says: "
            f"{error.message} Convert it, for instance with `ffmpeg -i IN -ar {sample_rate} -sample_fmt s16 OUT.wav`."
        ) from error
    if int(found) != sample_rate:
        raise ValueError(
            f"The sample rate must be that of the features, {sample_rate} Hz. Received: {path} of {int(found)} Hz. "
            f"Convert it, for instance with `ffmpeg -i IN -ar {sample_rate} OUT.wav`."
        )
    waveform: np.ndarray = samples.numpy().mean(axis=1)
    _check_waveform(waveform, os.fspath(path))
    return waveform


def _check_waveform(array: np.ndarray, name: str) -> None:
    if array.ndim != 1 or not (np.issubdtype(array.dtype, np.floating) or array.dtype == np.int16):
        raise ValueError(
            f"A waveform must have shape (samples,), and be float in [-1, 1] or int16. Received: shape {array.shape}, "
            f"dtype {array.dtype} for {name}. Take the mean of several channels; other integers are to be scaled."
        )
    if not len(array):
        raise ValueError(f"A waveform must have samples. Received: none for {name}. Leave it out.")
    if not np.isfinite(array).all():
        raise ValueError(f"A waveform must be finite. Received: NaN or infinity in {name}. Leave it out or repair it.")
