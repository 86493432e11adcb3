"""Pre-activation blocks: what is left of them when their branch is 0."""

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.students.residual_blocks import ResidualBlocks

X = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")


def block(filters, stride):
    """A model of one block whose last convolution is 0."""
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, ResidualBlocks(batch_norm_momentum=0.9).block(inputs, filters, stride=stride))
    (depth,) = [layer for layer in model.layers if isinstance(layer, kns.StochasticDepth)]
    (last,) = [layer for layer in model.layers if layer.output is depth.input]
    last.kernel.assign(np.zeros(last.kernel.shape))
    return model


def test_of_the_same_shape_the_input_passes_unchanged():
    np.testing.assert_array_equal(block(4, stride=1)(X), X)


@pytest.mark.parametrize(("filters", "stride"), [(5, 1), (4, 2)])
def test_of_another_shape_the_shortcut_starts_from_the_activation(filters, stride):
    model = block(filters, stride)
    (shortcut,) = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1)
    ]
    activation = np.maximum(X / np.sqrt(1 + 1e-3), 0)[:, ::stride, ::stride]
    np.testing.assert_allclose(model(X), activation @ shortcut.kernel.numpy()[0, 0], rtol=1e-4, atol=1e-5)
