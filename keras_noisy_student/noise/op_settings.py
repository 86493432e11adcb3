"""`OpSettings`: what implementations of RandAugment do differently, apart from the magnitude."""

import dataclasses
from typing import Literal

import tensorflow as tf

from keras_noisy_student.argument_checks import check_choice, is_integer, is_number
from keras_noisy_student.noise.per_image import Size

_IMAGENET_SIZE = 224
_SMALL_SIZE = 64
_IMAGENET_TRANSLATION = 100
_IMAGENET_CUTOUT = 40


@dataclasses.dataclass(frozen=True)
class OpSettings:
    """How the ops of RandAugment treat sizes, borders and means.

    Args:
        translate_const: pixels of TranslateX and TranslateY at magnitude 10. Default: by the smaller side of the image,
            100 from 224 pixels on, an eighth of the side up to 64 pixels, a straight line between.
        cutout_const: half the side of Cutout's square in pixels at magnitude 10. Default: by the smaller side of the
            image, 40 from 224 pixels on, an eighth of the side up to 64 pixels, a straight line between.
        contrast_mean: what Contrast blends with. `"image"`: the rounded mean of the grey image, as PIL. `"paper"`: the
            number of pixels / 256, up to 255, as the authors' code computes it by mistake.
        interpolation: `"nearest"`, as the authors', or `"bilinear"`, for the ops that move pixels.
        fill: level, 0 to 255, of what lies outside the image and of what is cut out.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> OpSettings(interpolation="bilinear").translation(32, 32)
        4.0
    """

    translate_const: float | None = None
    cutout_const: float | None = None
    contrast_mean: Literal["image", "paper"] = "image"
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    fill: int = 128

    def __post_init__(self) -> None:
        for name in ("translate_const", "cutout_const"):
            constant = getattr(self, name)
            if constant is not None and (not is_number(constant) or constant <= 0):
                raise ValueError(
                    f"`{name}` must be a finite number of pixels above 0, or None. Received: {name}={constant!r}."
                )
        check_choice("contrast_mean", self.contrast_mean, ("image", "paper"))
        check_choice("interpolation", self.interpolation, ("nearest", "bilinear"))
        check_fill(self.fill)

    def translation(self, height: Size, width: Size) -> float | tf.Tensor:
        """Pixels of translation at magnitude 10; a float64 scalar where the size is a tensor."""
        return self.translate_const or _constant_for_size(height, width, _IMAGENET_TRANSLATION)

    def cutout_half_size(self, height: Size, width: Size) -> float | tf.Tensor:
        """Half the side of the cut square in pixels at magnitude 10; a float64 scalar where the size is a tensor."""
        return self.cutout_const or _constant_for_size(height, width, _IMAGENET_CUTOUT)


def check_fill(fill: int) -> None:
    """Raises a `ValueError` when `fill` is no level."""
    if not is_integer(fill, at_least=0) or fill > 255:
        raise ValueError(f"`fill` must be an integer, 0 to 255. Received: fill={fill!r}.")


def _constant_for_size(height: Size, width: Size, imagenet_constant: int) -> float | tf.Tensor:
    """The paper's `size // 8` up to 64 pixels, its ImageNet constant from 224 on, a straight line between the two."""
    slope = (imagenet_constant - _SMALL_SIZE // 8) / (_IMAGENET_SIZE - _SMALL_SIZE)
    if isinstance(height, int) and isinstance(width, int):
        size = min(height, width)
        return min(size, _SMALL_SIZE) // 8 + (min(max(size, _SMALL_SIZE), _IMAGENET_SIZE) - _SMALL_SIZE) * slope
    size = tf.minimum(height, width)
    eighth = tf.cast(tf.minimum(size, _SMALL_SIZE) // 8, tf.float64)
    excess = tf.cast(tf.clip_by_value(size, _SMALL_SIZE, _IMAGENET_SIZE) - _SMALL_SIZE, tf.float64)
    return eighth + excess * tf.constant(slope, tf.float64)
