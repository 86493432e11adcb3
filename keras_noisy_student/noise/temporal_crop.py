"""`TemporalCrop`: a window of consecutive frames of each clip."""

import keras
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.frame_sampling import FrameSampling
from keras_noisy_student.noise.uniform_integers import uniform_integers


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class TemporalCrop(FrameSampling):
    """Takes `num_frames` consecutive frames of every clip, from a random one on.

    A clip's window is a function of its own key and length: the batch size, eager mode, a graph or XLA
    (`jit_compile=True`) change nothing. As the first layer of a network it crops at random in training, and in the
    middle in evaluation, annotation and prediction, so that the network takes clips of any length.

    Args:
        num_frames: frames that are kept, 1 or more.
        seed: integer seed of the keys that are drawn when a call is given none.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        clips: `(batch, time, height, width, channels)` or `(time, height, width, channels)`, of any dtype, of
            `num_frames` frames or more.
        training: whether windows are random, else they are in the middle. Default: `True` with `noise_seed`; without,
            what the network is called with, or `False`.
        noise_seed: int64 keys `(batch,)`, one per clip (a scalar for a single clip). In training without them the layer
            draws keys from `seed` and its count of calls, which is reproducible as long as calls come in the same
            order.

    Returns:
        Clips `(batch, num_frames, height, width, channels)`, or without `batch`, of the same dtype.

    Raises:
        ValueError: for `num_frames` below 1, clips of another rank, or clips that are too short.
        tf.errors.InvalidArgumentError: for clips that are too short, if a graph is built before their length is known.

    Example:
        >>> clips = tf.tile(tf.range(10.0)[None, :, None, None, None], [3, 1, 8, 8, 3])
        >>> cropped = TemporalCrop(num_frames=4)(clips, noise_seed=[5, 6, 7])
        >>> cropped.shape
        TensorShape([3, 4, 8, 8, 3])
        >>> TemporalCrop(num_frames=4)(clips, training=False)[0, :, 0, 0, 0].numpy()
        array([3., 4., 5., 6.], dtype=float32)
    """

    stream = seeds.stream_key("temporal crop")

    def random_frames(self, length: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """A random window."""
        num_starts = length - (self.num_frames - 1)
        return self._window(uniform_integers(seeds.uniform(keys, 1), num_starts))

    def usual_frames(self, length: tf.Tensor) -> tf.Tensor:
        """The window in the middle."""
        return self._window((length - self.num_frames) // 2)

    def _window(self, starts: tf.Tensor) -> tf.Tensor:
        return starts + tf.range(self.num_frames)
