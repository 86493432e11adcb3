"""`Compose`: several kinds of image noise, one after another, in one pass."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.per_image import ImageFunction, Size


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class Compose(ImageNoise):
    """Applies image noise step by step, in one loop over the images and one call of XLA.

    Step `i` draws from `seeds.fold(key, i)` of an image's key, so that the pixels are those of calling the steps one
    after another with such keys. `jit_compile` and `seed` of the steps are not used, only those of `Compose`.

    Args:
        steps: `ImageNoise` layers, one or more, in the order in which they are applied.
        **kwargs: those of `ImageNoise`.

    Raises:
        ValueError: for no steps, or a step that is no `ImageNoise`.

    Example:
        The order of ImageNet recipes, and that of small images:

        >>> imagenet = Compose([RandomResizedCrop(224, 224), RandomFlip(), RandAugment(num_ops=2, magnitude=27)])
        >>> cifar = Compose([RandAugment(num_ops=2, magnitude=5), Cutout(half_size=8), PadCrop(), RandomFlip()])
        >>> cifar(np.zeros((2, 32, 32, 3), np.uint8), noise_seed=[0, 1]).shape
        TensorShape([2, 32, 32, 3])
    """

    def __init__(self, steps: Sequence[ImageNoise], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(steps, Sequence) or not steps:
            raise ValueError(f"`steps` must be a list of one or more layers. Received: steps={steps!r}.")
        for step in steps:
            if not isinstance(step, ImageNoise):
                raise ValueError(
                    "`steps` must be `ImageNoise` layers, such as RandAugment and PadCrop. Received: "
                    f"{step!r}. Other layers and functions run one after another in a function of your own: "
                    "`lambda images, noise_seed: layer(compose(images, noise_seed=noise_seed))`."
                )
        self.steps = list(steps)

    @property
    def num_draws(self) -> int:
        """Those of all steps."""
        return sum(step.num_draws for step in self.steps)

    def draws(self, keys: tf.Tensor) -> tf.Tensor:
        """The draws of the steps side by side, each from a key of its own."""
        return tf.concat([step.draws(seeds.fold(keys, index)) for index, step in enumerate(self.steps)], axis=1)

    def for_size(self, height: Size, width: Size) -> ImageFunction:
        """The steps one after another, each for the size that those before it return."""
        functions = []
        for step in self.steps:
            functions.append(step.for_size(height, width))
            height, width = _output_size(step, height, width)
        num_draws = [step.num_draws for step in self.steps]

        def apply_steps(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
            for function, draws_of_step in zip(functions, tf.split(draws, num_draws), strict=True):
                image = function(image, draws_of_step)
            return image

        return apply_steps

    def clean(self, images: tf.Tensor) -> tf.Tensor:
        """What the steps make of images without noise."""
        for step in self.steps:
            images = step.clean(images)
        return images

    def compute_output_shape(self, images_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the images after all steps."""
        for step in self.steps:
            images_shape = step.compute_output_shape(images_shape)
        return images_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        steps = [keras.saving.serialize_keras_object(step) for step in self.steps]
        return {**super().get_config(), "steps": steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Compose":
        """The layer of a `get_config`."""
        steps = [keras.saving.deserialize_keras_object(step) for step in config["steps"]]
        return cls(**{**config, "steps": steps})


def _output_size(step: ImageNoise, height: Size, width: Size) -> tuple[Size, Size]:
    known = tuple(size if isinstance(size, int) else None for size in (height, width))
    output_height, output_width, _ = step.compute_output_shape((*known, 3))
    return height if output_height is None else output_height, width if output_width is None else output_width
