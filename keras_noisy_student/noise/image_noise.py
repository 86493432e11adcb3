"""`ImageNoise`: the base of image noise that is drawn for each image by its own key."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import checked_seed
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.example_keys import example_keys
from keras_noisy_student.noise.per_image import ImageFunction, Size, map_images

_FEWEST_IMAGES_TO_COMPILE = 32


class ImageNoise(keras.layers.Layer):
    """Noises every image by its own key, so that neither the batch size nor parallelism changes a pixel.

    A subclass says what happens to one image: it defines `num_draws` and `for_size`. Such noise is written without a
    thought of batches, keys, dtypes, the `training` flag or XLA, and can be one of the steps of `Compose`. It is traced
    once for each shape, whatever graphs it is called in: what is changed on the layer afterwards has no effect.

    Args:
        jit_compile: whether XLA compiles the noise, also where it compiles nothing around it. It gives the same pixels
            several times faster, and costs seconds of compilation for each shape. It is fastest where the batch size is
            known (`drop_remainder=True`). Images of unknown height or width go without it, and so do fewer than 32
            images outside of any graph.
        seed: integer seed of the keys that are drawn when a call is given none.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        images: `(batch, height, width, channels)` or `(height, width, channels)` of 1 or 3 channels; uint8, or float in
            [0, 255], which is rounded to whole levels. Floats in [0, 1] are not detected: scale them first.
        training: `False` returns them without noise. Default: `True`, as in the augmentation layers of Keras.
        noise_seed: int64 keys `(batch,)`, one per image (a scalar for a single image). Without them the layer draws
            keys from `seed` and its count of calls, which is reproducible as long as calls come in the same order.

    Returns:
        Images of the same dtype.

    Raises:
        ValueError: for images of another rank, dtype or number of channels.

    Example:
        >>> class Darken(ImageNoise):
        ...     num_draws = 1
        ...
        ...     def for_size(self, height, width):
        ...         return lambda image, draws: tf.cast(tf.cast(image, tf.float32) * draws[0], tf.uint8)
        >>> images = np.full((2, 4, 4, 1), 200, np.uint8)
        >>> bool(tf.reduce_all(Darken()(images, noise_seed=[3, 4]) < images))
        True
    """

    def __init__(self, *, jit_compile: bool = True, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        if not isinstance(jit_compile, bool):
            raise ValueError(f"`jit_compile` must be True or False. Received: jit_compile={jit_compile!r}.")
        self.jit_compile = jit_compile
        self.seed = checked_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.built = True
        self._in_graph = tf.function(self._noised, autograph=False)

    @property
    def num_draws(self) -> int:
        """Uniform numbers that the noise of one image takes."""
        raise NotImplementedError(f"{type(self).__name__} must define `num_draws`.")

    def for_size(self, height: Size, width: Size) -> ImageFunction:
        """Returns the noise of one image of this size.

        What depends on the size alone is computed here, once for a batch. A size is a tensor where it is not known.

        Returns:
            A function of an image, uint8 `(height, width, channels)`, and draws, float32 `(num_draws,)`, uniform in
            [0, 1). It returns a uint8 image, of the shape that `compute_output_shape` says.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `for_size(height, width)`.")

    def draws(self, keys: tf.Tensor) -> tf.Tensor:
        """The draws of images from their keys `(batch,)`: float32 `(batch, num_draws)`."""
        return seeds.uniform(keys, self.num_draws)

    def clean(self, images: tf.Tensor) -> tf.Tensor:
        """Images without noise, of the shape that `compute_output_shape` says: by default as they are."""
        return images

    def call(self, images: tf.Tensor, training: bool | None = True, noise_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the images with noise, or `clean` if `training` is `False`."""
        if not tf.is_tensor(images):
            raise ValueError(
                f"`images` must be one tensor. Received: a {type(images).__name__}. To noise one entry of a dict, call "
                "the layer on it in a function of your own that takes `noise_seed`."
            )
        _check_images(images.shape, images.dtype.name)
        if training is False:
            return self.clean(images)
        is_batch = images.shape.rank == 4
        levels = _to_uint8(images if is_batch else images[None])
        keys = example_keys(
            noise_seed, self.seed_generator, batch_shape=images.shape[:-3], num_examples=tf.shape(levels)[0]
        )
        if tf.executing_eagerly() and len(levels) < _FEWEST_IMAGES_TO_COMPILE:
            noised = self._noised_eagerly(levels, keys)
        else:
            # Every round of a run calls it in a new graph; it is traced and compiled for the first of them only.
            noised = self._in_graph(levels, keys, shape=tuple(levels.shape), jit_compile=self.jit_compile)
        return tf.cast(noised if is_batch else noised[0], images.dtype)

    def _noised_eagerly(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """In a graph all the same: op by op, an image of 224 x 224 pixels would take 25 ms."""
        shape = (None, *images.shape[1:])
        specs = tf.TensorSpec(shape, images.dtype), tf.TensorSpec([None], keys.dtype)
        return self._in_graph.get_concrete_function(*specs, shape=shape, jit_compile=False)(images, keys)

    def _noised(
        self, images: tf.Tensor, keys: tf.Tensor, *, shape: tuple[int | None, ...], jit_compile: bool
    ) -> tf.Tensor:
        """The `shape` keeps graphs apart: TensorFlow would take the one of unknown sizes, which is slower, for all."""
        images = tf.ensure_shape(images, shape)
        return map_images(
            self.for_size,
            images,
            self.draws(keys),
            output_shape=self.compute_output_shape(tuple(images.shape))[1:],
            jit_compile=jit_compile,
        )

    def compute_output_shape(self, images_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the images."""
        return images_shape

    def compute_output_spec(
        self, images: keras.KerasTensor, training: bool | None = True, noise_seed: Any = None
    ) -> keras.KerasTensor:
        """The shape and dtype of what a call returns."""
        _check_images(tf.TensorShape(images.shape), images.dtype)
        return keras.KerasTensor(self.compute_output_shape(images.shape), dtype=images.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "jit_compile": self.jit_compile, "seed": self.seed}


def _to_uint8(images: tf.Tensor) -> tf.Tensor:
    if images.dtype == tf.uint8:
        return images
    return tf.cast(tf.round(tf.clip_by_value(tf.cast(images, tf.float32), 0, 255)), tf.uint8)


def _check_images(shape: tf.TensorShape, dtype: str) -> None:
    if shape.rank not in (3, 4):
        raise ValueError(
            "`images` must have shape `(batch, height, width, channels)` or `(height, width, channels)`. "
            f"Received: images of shape {shape}."
        )
    if shape[-1] not in (1, 3):
        raise ValueError(
            f"`images` must have 1 or 3 channels, in the last dimension. Received: images of shape {shape}."
        )
    if dtype != "uint8" and not tf.as_dtype(dtype).is_floating:
        raise ValueError(
            f"`images` must be uint8, or float in [0, 255]. Received: images of dtype {dtype}. "
            'To resolve this, convert them with `tf.cast(images, "uint8")`.'
        )
