"""`TemporalCrop`: a window of consecutive frames of each clip."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import checked_seed, is_integer
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.clip_inputs import check_clips
from keras_noisy_student.noise.example_keys import example_keys
from keras_noisy_student.noise.uniform_integers import uniform_integers

# Else the start would be drawn from the number that also draws the first op of RandAugment.
_STREAM = seeds.stream_key("temporal crop")


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class TemporalCrop(keras.layers.Layer):
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
        training: `False` takes the frames in the middle. Default: `True`, as in the augmentation layers of Keras.
        noise_seed: int64 keys `(batch,)`, one per clip (a scalar for a single clip). Without them the layer draws keys
            from `seed` and its count of calls, which is reproducible as long as calls come in the same order.

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

    def __init__(self, num_frames: int, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        if not is_integer(num_frames, at_least=1):
            raise ValueError(f"`num_frames` must be an integer, 1 or more. Received: num_frames={num_frames!r}.")
        self.num_frames = int(num_frames)
        self.seed = checked_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.built = True

    def call(self, clips: tf.Tensor, training: bool | None = True, noise_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the frames of a random window of each clip, or of the middle one if `training` is `False`."""
        self._check(clips)
        batch = clips if clips.shape.rank == 5 else clips[None]
        num_clips, num_frames = tf.unstack(tf.shape(batch)[:2])
        num_starts = self._num_starts(num_frames)
        if training is False:
            starts = tf.fill([num_clips], (num_starts - 1) // 2)
        else:
            keys = example_keys(noise_seed, self.seed_generator, batch_shape=clips.shape[:-4], num_examples=num_clips)
            starts = uniform_integers(seeds.uniform(seeds.fold(keys, _STREAM), 1)[:, 0], num_starts)
        windows = tf.gather(batch, starts[:, None] + tf.range(self.num_frames), axis=1, batch_dims=1)
        return windows if clips.shape.rank == 5 else windows[0]

    def compute_output_shape(self, clips_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the clips, with `num_frames` frames."""
        return (*clips_shape[:-4], self.num_frames, *clips_shape[-3:])

    def compute_output_spec(
        self, clips: keras.KerasTensor, training: bool | None = True, noise_seed: Any = None
    ) -> keras.KerasTensor:
        """The shape and dtype of what a call returns."""
        self._check(clips)
        return keras.KerasTensor(self.compute_output_shape(clips.shape), dtype=clips.dtype)

    def _num_starts(self, num_frames: tf.Tensor) -> tf.Tensor:
        """Checked at run time too: a GPU or XLA fills frames that do not exist with zeros, in silence."""
        message = f"`clips` must have {self.num_frames} frames or more, which `num_frames` takes."
        with tf.control_dependencies([tf.debugging.assert_greater_equal(num_frames, self.num_frames, message)]):
            return num_frames - (self.num_frames - 1)

    def _check(self, clips: Any) -> None:
        check_clips(clips)
        num_frames = clips.shape[-4]
        if num_frames is not None and num_frames < self.num_frames:
            raise ValueError(
                f"`clips` must have {self.num_frames} frames or more, which `num_frames` takes. Received: clips of "
                f"shape {tuple(clips.shape)}. To resolve this, take a smaller `num_frames`, or repeat frames of the "
                "short clips."
            )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_frames": self.num_frames, "seed": self.seed}
