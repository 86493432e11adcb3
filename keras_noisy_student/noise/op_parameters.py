"""What a magnitude means to each op of RandAugment."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class OpParameters:
    """The parameters of the ops at one magnitude, as in the authors' released policy.

    Args:
        magnitude: 10 is the paper's full scale; every parameter below is in proportion to `level = magnitude / 10`.
        overflow: what becomes of a parameter that leaves its range (see `RandAugment`).

    Reference:
        Cubuk et al. 2019, RandAugment: practical automated data augmentation with a reduced search space, arXiv
        1909.13719.
    """

    magnitude: float
    overflow: Literal["clamp", "paper"] = "clamp"

    @property
    def level(self) -> float:
        """1 at the paper's full scale; what Translate and Cutout multiply their constant with."""
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
