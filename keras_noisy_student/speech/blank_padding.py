"""`BlankPadding`: has a network be sure of the blank beyond the end of each utterance."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_noisy_student.speech.frame_mask import check_frames

_NEVER = -1e9
"""The logit of what a frame of padding does not write: its probability is 0."""


def is_sure_of_blank(logits: tf.Tensor) -> tf.Tensor:
    """Which frames are padding to `BlankPadding`, bool `(batch, frames)`."""
    return tf.reduce_all(logits[..., :-1] <= _NEVER, axis=-1)


def sure_blanks(shape: Sequence[Any]) -> tf.Tensor:
    """Frames of padding: logits of a shape `(batch, frames, tokens + 1)`."""
    tokens = tf.fill([*shape[:2], shape[2] - 1], _NEVER)
    return tf.concat([tokens, tf.zeros([*shape[:2], 1])], axis=-1)


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class BlankPadding(keras.layers.Layer):
    """Makes the blank certain in the frames beyond the end of each utterance, as the last layer of a CTC network.

    Utterances of different lengths stand in one batch, padded at their ends. A blank of probability 1 changes neither
    the CTC loss of a transcript nor what is decoded. So the outputs are one tensor that needs no lengths beside it, and
    no gradient comes from padding.

    Args:
        **kwargs: what every `keras.layers.Layer` takes, such as `name`. The outputs are float32 under every policy.

    Call arguments:
        logits: or log probabilities, `(batch, frames, tokens + 1)`; the last output is the blank.
        length: valid frames of each utterance, integers `(batch,)`.

    Returns:
        float32, of the shape of `logits`.

    Raises:
        ValueError: for logits or lengths of another rank.

    Example:
        >>> kns.speech.BlankPadding()(tf.zeros([1, 3, 2]), tf.constant([2])).numpy()
        array([[[ 0.e+00,  0.e+00],
                [ 0.e+00,  0.e+00],
                [-1.e+09,  0.e+00]]], dtype=float32)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, logits: Any, length: Any) -> Any:
        """Returns the logits with those of padding replaced."""
        check_frames(logits, length)
        logits = ops.cast(logits, "float32")
        frames, outputs = ops.arange(ops.shape(logits)[1]), ops.arange(logits.shape[2])
        is_valid = frames[None, :] < ops.cast(length, "int32")[:, None]
        blank = ops.where(outputs == logits.shape[2] - 1, 0.0, _NEVER)
        return ops.where(is_valid[:, :, None], logits, blank)

    def compute_output_spec(self, logits: Any, length: Any) -> Any:
        """Shape and dtype of the outputs."""
        return keras.KerasTensor(logits.shape, dtype="float32")
