"""`wide_resnet`: wide residual networks, the usual students for 32 x 32 images."""

import keras

from keras_noisy_student.argument_checks import FROM_0_BELOW_1, check_count, is_integer, is_number
from keras_noisy_student.noise.stochastic_depth import ALMOST_OFF
from keras_noisy_student.students.residual_blocks import ResidualBlocks

_STAGE_WIDTHS = (16, 32, 64)
_SMALLEST_IMAGE_SIZE = 8


def wide_resnet(
    depth: int,
    widen_factor: float,
    *,
    num_classes: int,
    image_size: int = 32,
    first_stride: int = 1,
    batch_norm_momentum: float = 0.99,
    from_logits: bool = False,
) -> keras.Model:
    """Builds a wide residual network, newly initialised.

    It takes images of any size, `(batch, height, width, 3)`, uint8 or float in [0, 255], resizes them to `image_size`
    by its one `keras.layers.Resizing`, which leaves those of that size alone, and returns `(batch, num_classes)`.
    Three stages of `(depth - 4) / 6` pre-activation blocks each have 16, 32 and 64 times `widen_factor` channels; the
    second and third halve the resolution. Every residual branch ends in `StochasticDepth`, and dropout stands before
    the last layer, both almost off (drop rate 1e-6) until `Noise` sets them.

    Args:
        depth: number of layers: 10, 16, 22, 28, ...
        widen_factor: above 0. WRN-28-2 is `wide_resnet(28, 2, ...)`.
        num_classes: number of classes, at least 2.
        image_size: side of the images in pixels, 8 or more.
        first_stride: of the first convolution. 2 leaves a quarter of the multiplications, for a CPU.
        batch_norm_momentum: of the moving statistics; 0.9 for runs of a few thousand steps, which 0.99 lags behind.
        from_logits: whether to return logits, for `Classification(..., from_logits=True)`, instead of probabilities.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> network = wide_resnet(10, 1.5, num_classes=10)
        >>> network.output_shape, network.count_params()
        ((None, 10), 173114)

    Reference:
        Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv 1605.07146.
    """
    if not is_integer(depth, at_least=10) or (depth - 4) % 6:
        raise ValueError(f"`depth` must be 10, 16, 22, 28, ...: 6 n + 4. Received: depth={depth!r}.")
    if not is_number(widen_factor) or round(_STAGE_WIDTHS[0] * widen_factor) < 1:
        raise ValueError(f"`widen_factor` must be a number of at least 1/16. Received: widen_factor={widen_factor!r}.")
    check_count("num_classes", num_classes, at_least=2)
    check_count("image_size", image_size, at_least=_SMALLEST_IMAGE_SIZE)
    FROM_0_BELOW_1.check("batch_norm_momentum", batch_norm_momentum)
    check_count("first_stride", first_stride)
    if not isinstance(from_logits, bool):
        raise ValueError(f"`from_logits` must be True or False. Received: from_logits={from_logits!r}.")
    blocks = ResidualBlocks(float(batch_norm_momentum))
    images = keras.Input((None, None, 3))
    # Keras takes a missing `training` for `True` here, and for all layers behind it too.
    x = keras.layers.Resizing(int(image_size), int(image_size), dtype="float32")(images, training=False)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, dtype="float32")(x)
    x = blocks.convolution(x, _STAGE_WIDTHS[0], stride=first_stride)
    for stage, width in enumerate(_STAGE_WIDTHS):
        for block in range((depth - 4) // 6):
            x = blocks.block(x, round(width * widen_factor), stride=2 if stage > 0 and block == 0 else 1)
    x = keras.layers.GlobalAveragePooling2D()(blocks.activation(x))
    x = keras.layers.Dropout(ALMOST_OFF)(x)
    outputs = keras.layers.Dense(num_classes, activation=None if from_logits else "softmax", dtype="float32")(x)
    return keras.Model(images, outputs, name=f"wide_resnet_{depth}_{widen_factor:g}".replace(".", "_"))
