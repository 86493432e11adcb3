"""`Scaling`: how far each EfficientNet is scaled up from B0."""

import dataclasses
from typing import Any

from keras_noisy_student.argument_checks import check_choice


@dataclasses.dataclass(frozen=True)
class Scaling:
    """The compound scaling of one EfficientNet.

    Args:
        width: factor of the channels.
        depth: factor of the blocks in each stage.
        image_size: side of the training images in pixels.
        test_image_size: side of the images after fine-tuning at a higher resolution; the same where the paper has none.
        dropout_rate: of the last layer.

    Reference:
        Tan and Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks, arXiv 1905.11946.
    """

    width: float
    depth: float
    image_size: int
    test_image_size: int
    dropout_rate: float


SCALINGS = {
    "B0": Scaling(1.0, 1.0, 224, 224, 0.2),
    "B1": Scaling(1.0, 1.1, 240, 240, 0.2),
    "B2": Scaling(1.1, 1.2, 260, 260, 0.3),
    "B3": Scaling(1.2, 1.4, 300, 300, 0.3),
    "B4": Scaling(1.4, 1.8, 380, 380, 0.4),
    "B5": Scaling(1.6, 2.2, 456, 456, 0.4),
    "B6": Scaling(1.8, 2.6, 528, 528, 0.5),
    "B7": Scaling(2.0, 3.1, 600, 600, 0.5),
    "L0": Scaling(2.8, 3.7, 380, 600, 0.5),
    "L1": Scaling(3.9, 3.7, 380, 600, 0.5),
    "L2": Scaling(4.3, 5.3, 475, 800, 0.5),
}
"""B0 to B7 are those of the EfficientNet paper, L0 to L2 those of Noisy Student's."""


def scaling_of(name: Any) -> Scaling:
    """The scaling of the EfficientNet of this name.

    Raises:
        ValueError: for an unknown name.
    """
    check_choice("name", name, tuple(SCALINGS))
    return SCALINGS[name]
