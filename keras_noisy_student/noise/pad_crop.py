"""`PadCrop`: moves small images by a few pixels."""

from typing import Any, Literal

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import check_choice, is_integer
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.op_settings import check_fill
from keras_noisy_student.noise.per_image import ImageFunction, Size
from keras_noisy_student.noise.uniform_integers import uniform_integers


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class PadCrop(ImageNoise):
    """Pads every side of an image and crops it back to its size at a random place.

    The usual crop of 32 x 32 images. Most pad the normalized image with zeros, its mean: hence grey. The authors' SVHN
    script mirrors the image at its border.

    Args:
        padding: pixels on every side, 0 or more.
        mode: `"constant"` pads with `fill`. `"reflect"` mirrors the image at the middle of its outermost pixels, as in
            `keras.ops.pad`, and again where the padding is larger than the image.
        fill: level of the padding of `"constant"`, 0 to 255.
        **kwargs: those of `ImageNoise`.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> PadCrop(padding=4)(np.zeros((2, 32, 32, 3), np.uint8), noise_seed=[0, 1]).shape
        TensorShape([2, 32, 32, 3])

    Reference:
        He et al. 2015, Deep residual learning for image recognition, arXiv 1512.03385, section 4.2.
    """

    num_draws = 2

    def __init__(
        self, padding: int = 4, *, mode: Literal["constant", "reflect"] = "constant", fill: int = 128, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not is_integer(padding, at_least=0):
            raise ValueError(f"`padding` must be an integer, 0 or more. Received: padding={padding!r}.")
        check_choice("mode", mode, ("constant", "reflect"))
        check_fill(fill)
        self.padding = int(padding)
        self.mode = mode
        self.fill = int(fill)

    def for_size(self, height: Size, width: Size) -> ImageFunction:
        """The crop: two draws for its row and column."""
        sides = [self.padding, self.padding]

        def pad_and_crop(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
            top, left = tf.unstack(uniform_integers(draws, 2 * self.padding + 1))
            rows, columns = top + tf.range(height), left + tf.range(width)
            if self.mode == "reflect":
                rows, columns = _mirrored(rows - self.padding, height), _mirrored(columns - self.padding, width)
            else:
                image = tf.pad(image, [sides, sides, [0, 0]], constant_values=tf.constant(self.fill, tf.uint8))
            # Not `tf.slice`: where it begins is a constant to XLA, which would compile every batch anew.
            return tf.gather(tf.gather(image, rows), columns, axis=1)

        return pad_and_crop

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "padding": self.padding, "mode": self.mode, "fill": self.fill}


def _mirrored(places: tf.Tensor, size: Size) -> tf.Tensor:
    """The places inside an image, 0 to `size - 1`, of those outside when it is mirrored at its first and last pixel."""
    period = tf.maximum(2 * (size - 1), 1)
    return size - 1 - tf.abs(size - 1 - tf.math.floormod(places, period))
