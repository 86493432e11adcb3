"""`SegmentSampling`: one frame of each of the equal segments of a clip."""

import keras
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.frame_sampling import FrameSampling
from keras_noisy_student.noise.segments import middle_frames, segment_starts
from keras_noisy_student.noise.uniform_integers import uniform_integers


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class SegmentSampling(FrameSampling):
    """Divides every clip into `num_frames` segments of equal length and takes a frame of each, at random.

    So few frames show the whole clip, in its order, and other ones at every step. A clip's frames are a function of its
    own key and length: the batch size, eager mode, a graph or XLA (`jit_compile=True`) change nothing. As the first
    layer of a network it takes random frames in training, and the middle one of each segment in evaluation, annotation
    and prediction, so that the network takes clips of any length. Clips of `num_frames` frames stay as they are.

    Args:
        num_frames: segments, and frames that are taken, 1 or more.
        seed: integer seed of the keys that are drawn when a call is given none.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        clips: `(batch, time, height, width, channels)` or `(time, height, width, channels)`, of any dtype, of
            `num_frames` frames or more.
        training: whether frames are random, else they are in the middle of the segments. Default: `True` with
            `noise_seed`; without, what the network is called with, or `False`.
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
        >>> SegmentSampling(num_frames=4)(clips)[0, :, 0, 0, 0].numpy()
        array([1., 3., 6., 8.], dtype=float32)

        Before noise that is the same on all frames of a clip, with the same keys:

        >>> sample, augment = SegmentSampling(num_frames=4), PerClip(RandAugment(num_ops=2, magnitude=9))
        >>> def augmentation(clips, noise_seed):
        ...     return augment(sample(clips, noise_seed=noise_seed), noise_seed=noise_seed)
        >>> noise = Noise(augmentation, dropout_rate=0.5, survival_probability=0.8)

    Reference:
        Wang et al. 2016, Temporal Segment Networks, arXiv 1608.00859.
    """

    stream = seeds.stream_key("segment sampling")

    def random_frames(self, length: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Any frame of each segment, all equally likely."""
        starts = segment_starts(length, self.num_frames)
        return starts[:-1] + uniform_integers(seeds.uniform(keys, self.num_frames), starts[1:] - starts[:-1])

    def usual_frames(self, length: tf.Tensor) -> tf.Tensor:
        """The frame in the middle of each segment."""
        return middle_frames(length, self.num_frames)
