"""`frame_encoder`: a small residual network from a frame to features."""

import keras

from keras_noisy_student.argument_checks import is_number
from keras_noisy_student.students.residual_blocks import ResidualBlocks

_WIDTHS = (8, 16, 32, 48)
BLOCKS = ResidualBlocks(batch_norm_momentum=0.9)
"""Their moving statistics follow within a few dozen steps, as short runs on few clips need."""


def frame_encoder(widen_factor: float = 1.0) -> keras.Model:
    """Builds a residual network of images, newly initialised, for the faces of `attention_network`.

    It takes images `(batch, height, width, 3)` of any size, in [0, 255], and returns features
    `(batch, 48 * widen_factor)`: a convolution and three pre-activation blocks of 8, 16, 32 and 48 times `widen_factor`
    channels, each of which halves the resolution, and the mean over what is left. Every residual branch ends in
    `StochasticDepth`, almost off (drop rate 1e-6) until `Noise` sets it. The moving statistics of batch normalisation
    have a momentum of 0.9, for runs of a few hundred steps. An image of 48 x 48 takes 1.5 million multiplications.

    Args:
        widen_factor: above 0; the multiplications grow with its square.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> encoder = kns.video.frame_encoder(widen_factor=1.5)
        >>> encoder.output_shape, encoder.count_params()
        ((None, 72), 123060)
        >>> network = kns.video.attention_network(encoder, num_classes=8)
    """
    if not is_number(widen_factor) or round(_WIDTHS[0] * widen_factor) < 1:
        raise ValueError(f"`widen_factor` must be a number of at least 1/8. Received: widen_factor={widen_factor!r}.")
    widths = [round(width * widen_factor) for width in _WIDTHS]
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, dtype="float32")(images)
    x = BLOCKS.convolution(x, widths[0], stride=2)
    for width in widths[1:]:
        x = BLOCKS.block(x, width, stride=2)
    features = keras.layers.GlobalAveragePooling2D()(BLOCKS.activation(x))
    return keras.Model(images, features, name=f"frame_encoder_{widen_factor:g}".replace(".", "_"))
