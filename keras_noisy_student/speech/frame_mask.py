"""`FrameMask`: zeros beyond the end of each utterance."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class FrameMask(keras.layers.Layer):
    """Sets the frames beyond the end of each utterance to 0, so that no layer over neighbouring frames sees padding.

    Args:
        **kwargs: what every `keras.layers.Layer` takes, such as `name` and `dtype`.

    Call arguments:
        features: `(batch, frames, bins)`.
        length: valid frames of each utterance, integers `(batch,)`.

    Returns:
        Of shape and dtype of `features`.

    Raises:
        ValueError: for features or lengths of another rank.

    Example:
        >>> kns.speech.FrameMask()(tf.ones([1, 3, 1]), tf.constant([2])).numpy().ravel()
        array([1., 1., 0.], dtype=float32)
    """

    def call(self, features: Any, length: Any) -> Any:
        """Returns the features with those of padding replaced."""
        check_frames(features, length)
        is_valid = ops.arange(ops.shape(features)[1])[None, :] < ops.cast(length, "int32")[:, None]
        return ops.where(is_valid[:, :, None], features, ops.zeros_like(features))

    def compute_output_spec(self, features: Any, length: Any) -> Any:
        """Shape and dtype of the outputs."""
        return keras.KerasTensor(features.shape, dtype=self.compute_dtype)


def check_frames(features: Any, length: Any) -> None:
    """Raises a `ValueError` for frames or lengths of another rank than those of a batch of utterances."""
    if len(features.shape) != 3 or len(length.shape) != 1:
        raise ValueError(
            "Frames must have shape `(batch, frames, bins)` and lengths shape `(batch,)`. Received: frames of shape "
            f"{tuple(features.shape)} and lengths of shape {tuple(length.shape)}."
        )
