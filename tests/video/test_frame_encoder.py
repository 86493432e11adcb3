import math

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.video.frame_encoder import frame_encoder


@pytest.mark.parametrize("widen_factor", [1, 1.5])
def test_widths_and_noise(widen_factor):
    encoder = frame_encoder(widen_factor)
    assert encoder.output_shape == (None, round(48 * widen_factor))
    layers = kns.set_model_noise(encoder, survival_probability=0.7)
    assert [layer.new_drop_rate for layer in layers] == pytest.approx([0.1, 0.2, 0.3])


def test_it_is_as_cheap_as_it_says():
    encoder = frame_encoder()
    encode = keras.Model(encoder.input, [layer.output for layer in _convolutions(encoder)])
    outputs = encode(np.zeros((1, 48, 48, 3), "float32"))
    multiplications = [
        math.prod(output.shape[1:3]) * math.prod(layer.kernel.shape)
        for layer, output in zip(_convolutions(encoder), outputs, strict=True)
    ]
    assert sum(multiplications) == pytest.approx(1.5e6, abs=5e4)


def _convolutions(encoder):
    return [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]


@pytest.mark.parametrize("widen_factor", [0, -1.0, math.nan, "2", None])
def test_what_it_refuses(widen_factor):
    with pytest.raises(ValueError, match=r"`widen_factor` must be a number of at least 1/8\. Received: widen_factor="):
        frame_encoder(widen_factor)
