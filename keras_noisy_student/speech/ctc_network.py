"""`ctc_network`: a small convolutional network from speech features to the outputs of CTC."""

from typing import Any

import keras
from keras import ops

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.noise.stochastic_depth import ALMOST_OFF, StochasticDepth
from keras_noisy_student.speech.blank_padding import BlankPadding
from keras_noisy_student.speech.frame_mask import FrameMask

_KERNEL_SIZE = 7


def ctc_network(
    vocabulary_size: int, *, num_bins: int, width: int = 64, num_blocks: int = 3, subsampling: int = 2
) -> keras.Model:
    """Builds a residual network of convolutions over time, newly initialised.

    It takes a dict of `"features"` `(batch, frames, num_bins)`, of any number of frames, and their `"length"`, integers
    `(batch,)`, as `LogMel` makes them, and returns logits `(batch, ceil(frames / subsampling), vocabulary_size + 1)`
    for a `Transcription`:

    1. A convolution over five frames, of which it leaves every `subsampling`-th.
    2. `num_blocks` pre-activation residual blocks: layer normalisation, a convolution over seven frames, ReLU, a dense
       layer, dropout and `StochasticDepth`.
    3. Layer normalisation, and a dense layer whose outputs `BlankPadding` makes sure of the blank in padding.

    Padding is set to 0 before every convolution, so that an utterance has the same outputs in every batch. Dropout and
    stochastic depth are almost off (drop rate 1e-6) until `Noise` sets them.

    Args:
        vocabulary_size: number of tokens, without the blank.
        num_bins: features of a frame.
        width: channels of the blocks.
        num_blocks: number of blocks; each sees six frames more.
        subsampling: frames to one output. A transcript needs an output for each token, see `Transcription`.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> network = kns.speech.ctc_network(10, num_bins=40)
        >>> network({"features": np.zeros((2, 61, 40), np.float32), "length": np.array([61, 30])}).shape
        TensorShape([2, 31, 11])
        >>> network.count_params()
        112779
    """
    sizes = {
        "vocabulary_size": vocabulary_size,
        "num_bins": num_bins,
        "width": width,
        "num_blocks": num_blocks,
        "subsampling": subsampling,
    }
    for name, value in sizes.items():
        check_count(name, value)
    features = keras.Input((None, num_bins), name="features")
    length = keras.Input((), dtype="int32", name="length")
    x = FrameMask()(features, length)
    # "same" would place the strides by the length of the padding.
    x = keras.layers.Conv1D(width, 5, strides=subsampling)(keras.layers.ZeroPadding1D(2)(x))
    num_outputs = ops.floor_divide(length + (subsampling - 1), subsampling)
    for _ in range(num_blocks):
        x = _block(x, num_outputs, width)
    logits = keras.layers.Dense(vocabulary_size + 1, dtype="float32")(keras.layers.LayerNormalization()(x))
    return keras.Model(
        {"features": features, "length": length}, BlankPadding()(logits, num_outputs), name="ctc_network"
    )


def _block(x: Any, length: Any, width: int) -> Any:
    branch = FrameMask()(keras.layers.LayerNormalization()(x), length)
    branch = keras.layers.Conv1D(width, _KERNEL_SIZE, padding="same", activation="relu")(branch)
    branch = keras.layers.Dense(width)(branch)
    branch = keras.layers.Dropout(ALMOST_OFF)(branch)
    return keras.layers.Add()([x, StochasticDepth(1 - ALMOST_OFF)(branch)])
