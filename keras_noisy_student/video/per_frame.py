"""`PerFrame`: a network of images, applied to every frame of clips."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise.clip_frames import as_clips, as_frames
from keras_noisy_student.noise.clip_inputs import check_clips


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class PerFrame(keras.layers.Wrapper):
    """Applies a layer or model of images to all frames of all clips, as to one large batch of images.

    Random layers inside, such as dropout and stochastic depth, draw anew for every frame.

    `keras.layers.TimeDistributed` calls the layer once for each frame instead, and does other things in training: batch
    normalisation takes its statistics from one frame of each clip, which hides what changes from frame to frame, and
    moves the averages as many times a step as there are frames. The graph is as many times as large. Where the number
    of frames is unknown, it hardly moves the averages, and dropout fails.

    Args:
        layer: a Keras layer or model, from images `(batch, height, width, channels)` to one tensor `(batch, ...)`.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        clips: `(batch, time, height, width, channels)` or `(time, height, width, channels)`; `batch`, `time` and the
            size may be unknown. A mask `(batch, time)` that Keras carries along is handed on to the next layer; masked
            frames are computed like the others.

    Returns:
        A tensor `(batch, time, ...)`, or without `batch`, of the dtype that the layer returns.

    Raises:
        ValueError: for something that is no layer, or clips of another rank.

    Example:
        >>> encoder = keras.Sequential([keras.layers.Conv2D(8, 3), keras.layers.GlobalAveragePooling2D()])
        >>> kns.video.PerFrame(encoder)(np.zeros((2, 5, 16, 16, 3), "float32")).shape
        TensorShape([2, 5, 8])
    """

    def __init__(self, layer: keras.Layer, **kwargs: Any) -> None:
        if not isinstance(layer, keras.Layer):
            raise ValueError(f"`layer` must be a Keras layer or model. Received: layer={layer!r}.")
        super().__init__(layer, autocast=False, **kwargs)
        self.supports_masking = True

    def build(self, clips_shape: tuple[int | None, ...]) -> None:
        """Builds the layer on frames."""
        super().build((None, *clips_shape[-3:]))
        self.built = True

    # Not `None`: preprocessing layers of Keras such as `Resizing` take it for `True`, and all layers after them do.
    def call(self, clips: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns what the layer makes of each frame."""
        check_clips(clips)
        return as_clips(self.layer(as_frames(clips)), like=clips)
