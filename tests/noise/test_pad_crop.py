import timeit

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.layer_contract import check_layer
from tests.noise.noise_contract import check_noise, images_and_keys


@pytest.mark.parametrize("shape", [(12, 17, 3), (6, 6, 1)])
def test_equals_a_crop_of_the_padded_image(shape):
    def slowly(image, draws):
        top, left = int(draws[0] * 7), int(draws[1] * 7)
        padded = np.pad(image, [(3, 3), (3, 3), (0, 0)], constant_values=9)
        return padded[top : top + shape[0], left : left + shape[1]]

    check_noise(kns.PadCrop(3, fill=9), shape, slowly)


@pytest.mark.parametrize(("shape", "padding"), [((12, 17, 3), 3), ((3, 1, 1), 4)])
def test_reflect_equals_a_crop_of_the_mirrored_image(shape, padding):
    def slowly(image, draws):
        top, left = (int(draw * (2 * padding + 1)) for draw in draws)
        padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)], mode="reflect")
        return padded[top : top + shape[0], left : left + shape[1]]

    check_noise(kns.PadCrop(padding, mode="reflect"), shape, slowly)


def test_every_shift_is_equally_frequent():
    image = np.zeros((5, 5, 1), np.uint8)
    image[2, 2] = 255
    noised = kns.PadCrop(2)(np.repeat(image[None], 5000, 0), noise_seed=np.arange(5000)).numpy()
    counts = (noised == 255).sum((0, 3))
    assert counts.sum() == 5000
    assert np.abs(counts - 200).max() < 5 * np.sqrt(200)


def test_without_padding_it_is_the_identity():
    images, keys = images_and_keys(3)
    np.testing.assert_array_equal(kns.PadCrop(0)(images, noise_seed=keys), images)


def test_xla_compiles_once_whatever_the_draws():
    """Where a crop begins must be no constant to XLA: with `tf.slice`, a batch took 95 ms in place of 1.4."""
    layer, (images, _) = kns.PadCrop(2), images_and_keys(64)
    pad_and_crop = tf.function(lambda keys: layer(images, noise_seed=keys))
    keys = [tf.range(64, dtype=tf.int64) + 64 * batch for batch in range(9)]
    seconds = [timeit.timeit(lambda batch=batch: pad_and_crop(batch), number=1) for batch in keys]
    assert min(seconds[1:]) < seconds[0] / 10


def test_keeps_the_contract_of_a_layer(tmp_path):
    config = {"padding": 2, "mode": "reflect", "fill": 0, "jit_compile": False, "seed": 3}
    check_layer(kns.PadCrop, config, images_and_keys(4)[0], tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": -1}, r"`padding` must be an integer, 0 or more. Received: padding=-1."),
        ({"mode": "REFLECT"}, r'`mode` must be "constant" or "reflect". Received: mode=\'REFLECT\'.'),
        ({"fill": 300}, r"`fill` must be an integer, 0 to 255. Received: fill=300."),
    ],
)
def test_refuses_a_wrong_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        kns.PadCrop(**arguments)
