"""`StackedGrayscale`: three frames in grey as the three channels of one, so that a network of images sees motion."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise.clip_inputs import check_clips


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class StackedGrayscale(keras.layers.Layer):
    """Replaces the colours of each frame by the grey levels of the frame before it, of itself, and of the one after it.

    Where nothing moves, the three channels are alike; where something does, they are not, and in which direction it
    moves can be read from them by any network of images, one that was trained on photographs included. The price is
    the colour. The first frame stands in for the one before it, and the last for the one after it.

    Args:
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        clips: `(batch, time, height, width, channels)` or `(time, height, width, channels)`, of 1 or 3 channels, uint8
            or float. A mask `(batch, time)` that Keras carries along is handed on to the next layer.

    Returns:
        Clips of 3 channels, of the same dtype.

    Raises:
        ValueError: for clips of another rank, or other channels.

    Example:
        >>> clip = np.array([10, 20, 30], np.uint8).reshape(3, 1, 1, 1)  # three grey frames of one pixel
        >>> kns.video.StackedGrayscale()(clip).numpy().reshape(3, 3).tolist()
        [[10, 10, 20], [10, 20, 30], [20, 30, 30]]

    Reference:
        Kim and Won 2020, Action recognition in videos using pre-trained 2D convolutional neural networks, IEEE Access
        8. They stack three frames of a clip, far apart; here every frame stands between its neighbours.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def call(self, clips: tf.Tensor) -> tf.Tensor:
        """Returns the clips in grey, each frame between its neighbours."""
        check_clips(clips)
        if clips.shape[-1] not in (1, 3):
            raise ValueError(
                f"`clips` must have 1 or 3 channels. Received: clips of shape {clips.shape}. Pass the colours alone, "
                "those of RGBA by `clips[..., :3]`."
            )
        gray = tf.image.rgb_to_grayscale(clips) if clips.shape[-1] == 3 else clips
        padded = tf.concat([gray[..., :1, :, :, :], gray, gray[..., -1:, :, :, :]], axis=-4)
        return tf.concat([padded[..., :-2, :, :, :], gray, padded[..., 2:, :, :, :]], axis=-1)
