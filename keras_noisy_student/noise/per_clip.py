"""`PerClip`: image noise that is drawn once for a clip and is the same on each of its frames."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import checked_seed
from keras_noisy_student.noise.clip_frames import as_clips, as_frames
from keras_noisy_student.noise.clip_inputs import check_clips
from keras_noisy_student.noise.example_keys import example_keys
from keras_noisy_student.noise.keyed_calls import as_float, call_by_keys, takes_noise_seed
from keras_noisy_student.noise.mask_seeds import seed_variables


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class PerClip(keras.layers.Layer):
    """Applies an image augmentation to clips: drawn once for each clip, the same on every frame.

    Noise that changes from frame to frame would look like motion. Every frame is noised by the key of its clip, so that
    all of them get the same op, sign, magnitude and place. What an op measures on the image it is given, such as the
    histogram of Equalize, is measured on each frame.

    To also take some of the frames, call `TemporalCrop` or `SegmentSampling` and this layer with the same keys: see the
    example. Several augmentations go into one `PerClip`, joined by `keras.Sequential`: two `PerClip` with the same keys
    would draw the same numbers.

    Args:
        augmentation: a layer or function that takes `noise_seed`, such as `RandAugment`; or any other Keras layer from
            images to images all of whose random numbers come from Keras' seed generators, such as those of
            `keras.layers`. It is called on one frame after the other, with integers cast to float32, and draws other
            numbers under XLA than without.
        seed: integer seed of the keys that are drawn when a call is given none.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        clips: `(batch, time, height, width, channels)` or `(time, height, width, channels)`, of a dtype and range that
            the augmentation takes.
        training: `False` calls a layer in inference mode, and no function at all. Default: `True`, as in the
            augmentation layers of Keras.
        noise_seed: int64 keys `(batch,)`, one per clip (a scalar for a single clip). Without them the layer draws keys
            from `seed` and its count of calls, which is reproducible as long as calls come in the same order.

    Returns:
        Clips of the frames that the augmentation returns, of their size and dtype.

    Raises:
        ValueError: for an augmentation that would noise each frame in its own way, or clips of another rank.

    Example:
        >>> crop, augment = TemporalCrop(num_frames=4), PerClip(RandAugment(num_ops=2, magnitude=9))
        >>> def augmentation(clips, noise_seed):
        ...     return augment(crop(clips, noise_seed=noise_seed), noise_seed=noise_seed)
        >>> noise = Noise(augmentation, placement="pipeline")
        >>> noise.augment(np.zeros((2, 10, 16, 16, 3), "uint8"), tf.constant([3, 4], tf.int64)).shape
        TensorShape([2, 4, 16, 16, 3])

        Layers of Keras:

        >>> frame = tf.random.stateless_uniform((16, 16, 3), seed=(0, 0), maxval=255)
        >>> clips = tf.tile(frame[None, None], [2, 5, 1, 1, 1])
        >>> flip_and_rotate = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)])
        >>> noised = PerClip(flip_and_rotate)(clips, noise_seed=[3, 4])
        >>> bool(tf.reduce_all(noised[:, :1] == noised)), bool(tf.reduce_all(noised[0] == noised[1]))
        (True, False)
    """

    def __init__(self, augmentation: Callable[..., Any], *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        _check_augmentation(augmentation)
        self.augmentation = augmentation
        self.seed = checked_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        # A function says nothing of what XLA can compile.
        self.supports_jit = isinstance(augmentation, keras.Layer)
        self._call_by_keys = tf.function(call_by_keys)

    def build(self, clips_shape: tuple[int | None, ...]) -> None:
        """Builds the augmentation on frames."""
        if isinstance(self.augmentation, keras.Layer) and not self.augmentation.built:
            self.augmentation.build((None, *clips_shape[-3:]))
        self.built = True

    def call(self, clips: tf.Tensor, training: bool | None = True, noise_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the clips with noise, or the augmentation's inference mode if `training` is `False`."""
        check_clips(clips)
        frames = as_frames(clips)
        if training is False:
            noised = self._without_noise(frames)
        else:
            noised = self._noised(frames, self._frame_keys(clips, noise_seed))
        return as_clips(noised, like=clips)

    def _frame_keys(self, clips: tf.Tensor, noise_seed: tf.Tensor | None) -> tf.Tensor:
        batch_shape, sizes = clips.shape[:-4], tf.shape(clips)
        num_clips = 1 if clips.shape.rank == 4 else sizes[0]
        keys = example_keys(noise_seed, self.seed_generator, batch_shape=batch_shape, num_examples=num_clips)
        return tf.repeat(keys, sizes[-4])

    def _noised(self, frames: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        if takes_noise_seed(self.augmentation):
            return self.augmentation(frames, noise_seed=keys)
        return self._call_by_keys(self.augmentation, frames, keys)

    def _without_noise(self, frames: tf.Tensor) -> tf.Tensor:
        if not isinstance(self.augmentation, keras.Layer):
            return frames
        if takes_noise_seed(self.augmentation):
            return self.augmentation(frames, training=False)
        return self.augmentation(as_float(frames), training=False)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments. A function must be registered with Keras to be saved."""
        augmentation = keras.saving.serialize_keras_object(self.augmentation)
        return {**super().get_config(), "augmentation": augmentation, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PerClip":
        """The layer of a `get_config`."""
        return cls(**{**config, "augmentation": keras.saving.deserialize_keras_object(config["augmentation"])})


def _check_augmentation(augmentation: Any) -> None:
    if not callable(augmentation):
        raise ValueError(
            f"`augmentation` must be a Keras layer or a function of images. Received: augmentation={augmentation!r}."
        )
    if takes_noise_seed(augmentation):
        return
    if not isinstance(augmentation, keras.Layer):
        raise ValueError(
            "A function must take `noise_seed`, or it would noise each frame of a clip in its own way. "
            f"Received: augmentation={augmentation!r}. Give it an argument `noise_seed` of int64 keys, one per frame "
            "and the same for all frames of a clip, and draw from them, for instance by "
            "`tf.random.stateless_uniform`; or pass a layer such as `RandAugment` or those of `keras.layers`."
        )
    if not seed_variables(augmentation):
        raise ValueError(
            "A Keras layer must draw its random numbers from `keras.random.SeedGenerator`s of its own, or it would "
            f"noise each frame of a clip in its own way. Received: augmentation={augmentation!r}, which has none "
            "(those of keras-cv have none that Keras knows of). Pass a layer such as `RandAugment` or those of "
            "`keras.layers`. What draws nothing needs no `PerClip`: put it into the network or the data set."
        )
