"""`RandomFlip`: mirrors images."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import FROM_0_TO_1
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.per_image import ImageFunction, Size


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class RandomFlip(ImageNoise):
    """Swaps left and right of an image, with a probability.

    Not for images of which the mirror image means something else, such as digits.

    Args:
        probability: in [0, 1].
        **kwargs: those of `ImageNoise`.

    Raises:
        ValueError: for a probability out of range.

    Example:
        >>> image = np.array([1, 2, 3], np.uint8).reshape(1, 3, 1)
        >>> RandomFlip(probability=1)(image)[0, :, 0].numpy()
        array([3, 2, 1], dtype=uint8)
    """

    num_draws = 1

    def __init__(self, probability: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        FROM_0_TO_1.check("probability", probability)
        self.probability = float(probability)

    def for_size(self, height: Size, width: Size) -> ImageFunction:
        """The flip: one draw says whether."""
        return lambda image, draws: tf.where(draws[0] < self.probability, tf.reverse(image, [1]), image)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "probability": self.probability}
