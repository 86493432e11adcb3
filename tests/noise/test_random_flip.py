import numpy as np
import pytest

import keras_noisy_student as kns
from tests.layer_contract import check_layer
from tests.noise.noise_contract import check_noise, images_and_keys


@pytest.mark.parametrize("shape", [(12, 17, 3), (6, 6, 1)])
def test_swaps_left_and_right_of_some(shape):
    check_noise(kns.RandomFlip(0.3), shape, lambda image, draws: image[:, ::-1] if draws[0] < 0.3 else image)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_flips_with_its_probability(probability):
    images = np.repeat(np.array([0, 255], np.uint8).reshape(1, 1, 2, 1), 4000, 0)
    flipped = kns.RandomFlip(probability)(images, noise_seed=np.arange(4000))[:, 0, 0, 0].numpy() == 255
    assert abs(flipped.mean() - probability) <= 4 * np.sqrt(probability * (1 - probability) / 4000)


def test_keeps_the_contract_of_a_layer(tmp_path):
    check_layer(kns.RandomFlip, {"probability": 0.25, "jit_compile": False, "seed": 3}, images_and_keys(4)[0], tmp_path)


def test_refuses_a_wrong_probability():
    with pytest.raises(ValueError, match=r"`probability` must be in \[0, 1\]. Received: probability=2."):
        kns.RandomFlip(2)
