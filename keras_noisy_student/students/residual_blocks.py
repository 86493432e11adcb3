"""`ResidualBlocks`: what residual networks of images are built of here, ready for `Noise`."""

from typing import Any

import keras

from keras_noisy_student.noise.stochastic_depth import ALMOST_OFF, StochasticDepth


class ResidualBlocks:
    """Builds pre-activation blocks, each of whose branches ends in `StochasticDepth`, almost off.

    Args:
        batch_norm_momentum: of the moving statistics.

    Example:
        >>> blocks, images = ResidualBlocks(batch_norm_momentum=0.9), keras.Input((32, 32, 3))
        >>> x = blocks.block(blocks.convolution(images, 8), 16, stride=2)
        >>> x.shape
        (None, 16, 16, 16)

    Reference:
        He et al. 2016, Identity Mappings in Deep Residual Networks, arXiv 1603.05027.
    """

    def __init__(self, batch_norm_momentum: float) -> None:
        self._momentum = batch_norm_momentum

    def convolution(self, x: Any, filters: int, *, stride: int = 1, kernel_size: int = 3) -> Any:
        """A convolution without bias."""
        return keras.layers.Conv2D(
            filters, kernel_size, stride, padding="same", use_bias=False, kernel_initializer="he_normal"
        )(x)

    def activation(self, x: Any) -> Any:
        """Batch normalisation, then ReLU."""
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=self._momentum)(x))

    def block(self, x: Any, filters: int, *, stride: int) -> Any:
        """A pre-activation block; where the shape changes, both of its paths start from the activation."""
        activation = self.activation(x)
        is_same_shape = stride == 1 and x.shape[-1] == filters
        shortcut = x if is_same_shape else self.convolution(activation, filters, stride=stride, kernel_size=1)
        branch = self.activation(self.convolution(activation, filters, stride=stride))
        branch = StochasticDepth(1 - ALMOST_OFF)(self.convolution(branch, filters))
        return keras.layers.Add()([shortcut, branch])
