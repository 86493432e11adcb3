"""`FrameSampling`: what the layers that take some frames of each clip have in common."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import checked_seed, is_integer
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.clip_inputs import check_length, checked_length
from keras_noisy_student.noise.example_keys import example_keys

_WHY = "`num_frames` takes"


class FrameSampling(keras.layers.Layer):
    """Takes `num_frames` frames of every clip, in their order: others for each clip, or always the same ones.

    A subclass says which, by `random_frames` and `usual_frames`.

    Args:
        num_frames: frames that are taken, 1 or more.
        seed: integer seed of the keys that are drawn when a call is given none.
        **kwargs: `name` and `dtype` of the layer.

    Raises:
        ValueError: for `num_frames` below 1, clips of another rank, or clips that are too short.
        tf.errors.InvalidArgumentError: for clips that are too short, if a graph is built before their length is known.
    """

    stream: int
    """A key of the subclass: else it would draw the numbers that also draw the first op of RandAugment."""

    def __init__(self, num_frames: int, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        if not is_integer(num_frames, at_least=1):
            raise ValueError(f"`num_frames` must be an integer, 1 or more. Received: num_frames={num_frames!r}.")
        self.num_frames = int(num_frames)
        self.seed = checked_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.built = True

    def random_frames(self, length: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """The frames that are taken in training, int32 `(clips, num_frames)`.

        Args:
            length: int32, the number of frames of the clips, `num_frames` or more.
            keys: int64 `(clips,)`.
        """
        raise NotImplementedError

    def usual_frames(self, length: tf.Tensor) -> tf.Tensor:
        """The frames that are taken of every clip without training, int32 `(num_frames,)`.

        Args:
            length: int32, the number of frames of the clips, `num_frames` or more.
        """
        raise NotImplementedError

    # With `training=True` as its default, `network(clips)` would also run all layers behind this one in training mode.
    def call(self, clips: tf.Tensor, training: bool | None = None, noise_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns random frames of each clip in training or by keys, else the usual ones."""
        length = checked_length(clips, at_least=self.num_frames, why=_WHY)
        if training is False or (training is None and noise_seed is None):
            return tf.gather(clips, self.usual_frames(length), axis=-4)
        batch = clips if clips.shape.rank == 5 else clips[None]
        num_clips = tf.shape(batch)[0]
        keys = example_keys(noise_seed, self.seed_generator, batch_shape=clips.shape[:-4], num_examples=num_clips)
        frames = self.random_frames(length, seeds.fold(keys, self.stream))
        taken = tf.gather(batch, frames, axis=1, batch_dims=1)
        return taken if clips.shape.rank == 5 else taken[0]

    def compute_output_shape(self, clips_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the clips, with `num_frames` frames."""
        return (*clips_shape[:-4], self.num_frames, *clips_shape[-3:])

    def compute_output_spec(
        self, clips: keras.KerasTensor, training: bool | None = None, noise_seed: Any = None
    ) -> keras.KerasTensor:
        """The shape and dtype of what a call returns."""
        check_length(clips, at_least=self.num_frames, why=_WHY)
        return keras.KerasTensor(self.compute_output_shape(clips.shape), dtype=clips.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_frames": self.num_frames, "seed": self.seed}
