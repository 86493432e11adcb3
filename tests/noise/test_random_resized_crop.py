import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.layer_contract import check_layer
from tests.noise.noise_contract import check_noise, images_and_keys


def _drawn_window(draws, height, width, scale, ratio):
    """Top, left, height and width of the crop that four draws choose."""
    area = np.linspace(*scale, 256)[int(draws[0] * 256)]
    aspect = np.exp(np.linspace(*np.log(ratio), 64))[int(draws[1] * 64)]
    crop_height = int(np.clip(np.round(np.sqrt(height * width * area / aspect)), 1, height))
    crop_width = int(np.clip(np.round(np.sqrt(height * width * area * aspect)), 1, width))
    top, left = int(draws[2] * (height - crop_height + 1)), int(draws[3] * (width - crop_width + 1))
    return top, left, crop_height, crop_width


def _resize_slowly(image, height, width):
    """Bilinear, pixel by pixel, with sources rounded down to 1/256 of a pixel."""
    resized = np.empty((height, width, image.shape[-1]), np.uint8)
    for y in range(height):
        for x in range(width):
            sources = []
            for place, size, output_size in ((y, image.shape[0], height), (x, image.shape[1], width)):
                source = (2 * place + 1) * 256 * size // (2 * output_size) - 128
                sources.append(min(max(source, 0), (size - 1) * 256))
            (top, down), (left, right) = [divmod(source, 256) for source in sources]
            corners = image.astype(int)[top : top + 2, left : left + 2]
            above, below = corners[0], corners[-1]
            above = (256 - right) * above[0] + right * above[-1]
            below = (256 - right) * below[0] + right * below[-1]
            resized[y, x] = ((256 - down) * above + down * below + 2**15) >> 16
    return resized


@pytest.mark.parametrize("shape", [(12, 17, 3), (20, 9, 1)])
def test_equals_a_slow_crop_and_resize(shape):
    config = {"scale": (0.2, 0.9), "ratio": (0.5, 3.0)}

    def slowly(image, draws):
        top, left, height, width = _drawn_window(draws, *shape[:2], **config)
        return _resize_slowly(image[top : top + height, left : left + width], 10, 8)

    check_noise(kns.RandomResizedCrop(10, 8, **config), shape, slowly)


@pytest.mark.parametrize("size", [(7, 9), (24, 31), (12, 17)])
def test_the_whole_image_is_within_a_level_of_tensorflows_resize(size):
    image = images_and_keys(1)[0][0]
    whole = kns.RandomResizedCrop(*size, scale=(1, 1), ratio=(17 / 12, 17 / 12))
    expected = tf.image.resize(tf.cast(image, tf.float32), size)
    # Sources are rounded down to 1/256 of a pixel, in both directions.
    assert np.abs(tf.cast(whole(image, noise_seed=0), tf.float32) - expected).max() <= 2 * 255 / 256 + 0.5
    np.testing.assert_array_equal(whole(image, training=False), tf.round(expected))


def test_areas_and_ratios_spread_over_their_ranges():
    draws = np.random.default_rng(0).random((5000, 4))
    windows = np.array([_drawn_window(row, 200, 200, (0.08, 0.5), (3 / 4, 4 / 3)) for row in draws])
    areas, ratios = windows[:, 2] * windows[:, 3] / 40_000, windows[:, 3] / windows[:, 2]
    assert areas.mean() == pytest.approx(0.29, abs=0.01)
    assert np.log(ratios).mean() == pytest.approx(0, abs=0.01)
    assert (areas.min() > 0.07) and (areas.max() < 0.51)


def test_keeps_the_contract_of_a_layer(tmp_path):
    config = {"height": 6, "width": 7, "scale": [0.5, 1.0], "ratio": [0.5, 2.0], "jit_compile": False, "seed": 3}
    check_layer(kns.RandomResizedCrop, config, images_and_keys(4)[0], tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 0}, r"`height` must be an integer, 1 or more. Received: height=0."),
        ({"width": 2.5}, r"`width` must be an integer, 1 or more. Received: width=2.5."),
        (
            {"scale": (0, 1)},
            r"`scale` must be two numbers above 0 of at most 1, .* Received: scale=\(0, 1\).",
        ),
        ({"scale": 0.5}, r"`scale` must be two numbers above 0 of at most 1, .* Received: scale=0.5."),
        ({"ratio": (2, 1)}, r"`ratio` must be two numbers above 0, the lower first. Received: ratio=\(2, 1\)."),
    ],
)
def test_refuses_a_wrong_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        kns.RandomResizedCrop(**{"height": 8, "width": 8, **arguments})
