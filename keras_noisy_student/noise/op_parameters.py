"""What a magnitude means to each op of RandAugment."""

import dataclasses
from typing import Literal

import tensorflow as tf

_IMAGENET_SIZE = 224
_SMALL_SIZE = 64
_IMAGENET_TRANSLATION = 100
_IMAGENET_CUTOUT = 40


@dataclasses.dataclass(frozen=True)
class OpParameters:
    """The parameters of the ops at one magnitude, as in the authors' released policy.

    Args:
        magnitude: 10 is the paper's full scale; every parameter below is in proportion to `level = magnitude / 10`.
        overflow: what becomes of a parameter that leaves its range (see `RandAugment`).
        translate_const: translation in pixels at level 1, or `None` for the default of the image's size.
        cutout_const: half the side of the cut square in pixels at level 1, or `None`, likewise.

    Reference:
        Cubuk et al. 2019, RandAugment: practical automated data augmentation with a reduced search space, arXiv
        1909.13719.
    """

    magnitude: float
    overflow: Literal["clamp", "paper"] = "clamp"
    translate_const: float | None = None
    cutout_const: float | None = None

    @property
    def level(self) -> float:
        """1 at the paper's full scale."""
        return self.magnitude / 10

    @property
    def degrees(self) -> float:
        """Of Rotate."""
        return self.level * 30

    @property
    def shear(self) -> float:
        """Of ShearX and ShearY, in pixels per pixel."""
        return self.level * 0.3

    @property
    def enhance_factor(self) -> float:
        """Of Color, Contrast, Brightness and Sharpness: 1 keeps the image, less and more exaggerate."""
        return self.level * 1.8 + 0.1

    @property
    def num_bits(self) -> int:
        """Kept by Posterize. 0 bits become 1, as in the authors' code, whose bit shift stops at 7."""
        num_bits = max(int(self.level * 4), 1)
        if num_bits <= 8:
            return num_bits
        return 1 if self.overflow == "paper" else 8

    @property
    def solarize_threshold(self) -> int:
        """Solarize inverts from this level on; 256 inverts nothing."""
        threshold = int(self.level * 256)
        return threshold % 256 if self.overflow == "paper" else min(threshold, 256)

    @property
    def solarize_addition(self) -> int:
        """Added by SolarizeAdd."""
        return int(self.level * 110)

    def translation(self, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
        """Pixels, as a float32 scalar."""
        return tf.cast(self._scaled(self.translate_const, _IMAGENET_TRANSLATION, height, width), tf.float32)

    def cutout_half_size(self, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
        """Pixels, as an int32 scalar."""
        return tf.cast(self._scaled(self.cutout_const, _IMAGENET_CUTOUT, height, width), tf.int32)

    def _scaled(
        self, constant: float | None, imagenet_constant: int, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> tf.Tensor:
        """`level * constant` in float64, which truncates like the authors' Python numbers."""
        if constant is None:
            constant = constant_for_size(tf.minimum(height, width), imagenet_constant)
        return tf.cast(constant, tf.float64) * tf.constant(self.level, tf.float64)


def constant_for_size(size: tf.Tensor | int, imagenet_constant: int) -> tf.Tensor:
    """The translation or cutout constant of an image whose smaller side is `size`.

    The paper's `size // 8` up to 64 pixels, its ImageNet constant from 224 on, and a straight line between the two.
    """
    slope = (imagenet_constant - _SMALL_SIZE // 8) / (_IMAGENET_SIZE - _SMALL_SIZE)
    eighth = tf.cast(tf.minimum(size, _SMALL_SIZE) // 8, tf.float64)
    excess = tf.cast(tf.clip_by_value(size, _SMALL_SIZE, _IMAGENET_SIZE) - _SMALL_SIZE, tf.float64)
    return eighth + excess * tf.constant(slope, tf.float64)
