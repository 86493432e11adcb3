"""`Cutout`: hides a square of every image."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import is_integer
from keras_noisy_student.noise import image_ops
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.op_settings import check_fill
from keras_noisy_student.noise.per_image import ImageFunction, Size
from keras_noisy_student.noise.uniform_integers import uniform_integers


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class Cutout(ImageNoise):
    """Fills a square around a random pixel; what lies beyond the border is lost.

    The extra Cutout of small images, which every image gets, in addition to that of `RandAugment`.

    Args:
        half_size: half the side of the square in pixels, 1 or more.
        fill: level, 0 to 255.
        **kwargs: those of `ImageNoise`.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> noised = Cutout(half_size=8)(np.zeros((32, 32, 1), np.uint8), noise_seed=0)
        >>> int(tf.reduce_max(noised))
        128

    Reference:
        DeVries and Taylor 2017, Improved regularization of convolutional neural networks with Cutout, arXiv 1708.04552.
    """

    num_draws = 2

    def __init__(self, half_size: int, *, fill: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not is_integer(half_size, at_least=1):
            raise ValueError(f"`half_size` must be an integer, 1 or more. Received: half_size={half_size!r}.")
        check_fill(fill)
        self.half_size = int(half_size)
        self.fill = int(fill)

    def for_size(self, height: Size, width: Size) -> ImageFunction:
        """The cut: two draws for the row and column of its centre."""

        def cut_out(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
            center = uniform_integers(draws[0], height), uniform_integers(draws[1], width)
            return image_ops.cutout(image, center, self.half_size, fill=self.fill)

        return cut_out

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "half_size": self.half_size, "fill": self.fill}
