"""`RandomResizedCrop`: the crop of ImageNet recipes."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import is_integer, is_number
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.per_image import ImageFunction, Size
from keras_noisy_student.noise.resize import Window, resize_window
from keras_noisy_student.noise.uniform_integers import uniform_integers

_NUM_AREAS, _NUM_RATIOS = 256, 64


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class RandomResizedCrop(ImageNoise):
    """Crops a random part of an image, of random area and aspect ratio, and resizes it to a fixed size.

    The area is one of 256 equally likely parts of `scale`, the aspect ratio one of 64 that are equally spaced in its
    logarithm. A crop that would be wider or higher than the image is cut to it, where others draw again. The resizing
    is bilinear, without antialiasing. With `training=False` the whole image is resized.

    Args:
        height: of the returned images, in pixels.
        width: of the returned images, in pixels.
        scale: smallest and largest area, as a fraction of the image, in (0, 1].
        ratio: smallest and largest aspect ratio, width / height, above 0.
        **kwargs: those of `ImageNoise`.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> RandomResizedCrop(224, 224)(np.zeros((2, 320, 240, 3), np.uint8), noise_seed=[0, 1]).shape
        TensorShape([2, 224, 224, 3])

    Reference:
        Szegedy et al. 2014, Going deeper with convolutions, arXiv 1409.4842, section 6.
    """

    num_draws = 4

    def __init__(
        self,
        height: int,
        width: int,
        *,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, size in (("height", height), ("width", width)):
            if not is_integer(size, at_least=1):
                raise ValueError(f"`{name}` must be an integer, 1 or more. Received: {name}={size!r}.")
        self.height, self.width = int(height), int(width)
        self.scale = _checked_range("scale", scale, highest=1)
        self.ratio = _checked_range("ratio", ratio, highest=math.inf)

    def for_size(self, height: Size, width: Size) -> ImageFunction:
        """The crop: draws for its area, aspect ratio, row and column."""
        heights, widths = self._crop_sizes(height, width)

        def crop_and_resize(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
            index = uniform_integers(draws[0], _NUM_AREAS) * _NUM_RATIOS + uniform_integers(draws[1], _NUM_RATIOS)
            crop_height, crop_width = tf.gather(heights, index), tf.gather(widths, index)
            top = uniform_integers(draws[2], height - crop_height + 1)
            left = uniform_integers(draws[3], width - crop_width + 1)
            window = Window(top, left, crop_height, crop_width)
            return resize_window(image, window, height=self.height, width=self.width)

        return crop_and_resize

    def _crop_sizes(self, height: Size, width: Size) -> tuple[tf.Tensor, tf.Tensor]:
        """int32 heights and widths of the crops, `(areas * ratios,)`: a table, so that no graph rounds otherwise."""
        areas = np.linspace(self.scale[0], self.scale[1], _NUM_AREAS)[:, None]
        ratios = np.geomspace(self.ratio[0], self.ratio[1], _NUM_RATIOS)[None, :]
        side = tf.sqrt(tf.cast(height, tf.float64) * tf.cast(width, tf.float64))

        def crop_sizes(factors: Any, size: Size) -> tf.Tensor:
            return tf.clip_by_value(tf.cast(tf.round(side * factors.ravel()), tf.int32), 1, size)

        return crop_sizes(np.sqrt(areas / ratios), height), crop_sizes(np.sqrt(areas * ratios), width)

    def clean(self, images: tf.Tensor) -> tf.Tensor:
        """The whole images, resized."""
        resized = tf.image.resize(tf.cast(images, tf.float32), (self.height, self.width))
        return tf.cast(tf.round(resized) if images.dtype == tf.uint8 else resized, images.dtype)

    def compute_output_shape(self, images_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the images, with the new height and width."""
        return (*images_shape[:-3], self.height, self.width, images_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        sizes = {"height": self.height, "width": self.width, "scale": list(self.scale), "ratio": list(self.ratio)}
        return {**super().get_config(), **sizes}


def _checked_range(name: str, values: Sequence[float], *, highest: float) -> tuple[float, float]:
    is_pair = isinstance(values, Sequence) and len(values) == 2 and all(is_number(value) for value in values)
    if not is_pair or not 0 < values[0] <= values[1] <= highest:
        limit = "" if highest == math.inf else f" of at most {highest}"
        raise ValueError(f"`{name}` must be two numbers above 0{limit}, the lower first. Received: {name}={values!r}.")
    return float(values[0]), float(values[1])
