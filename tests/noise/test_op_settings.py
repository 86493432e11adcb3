import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.op_settings import OpSettings


@pytest.mark.parametrize(
    ("size", "translation", "cutout"),
    [(8, 1, 1), (28, 3, 3), (32, 4, 4), (64, 8, 8), (144, 54, 24), (224, 100, 40), (600, 100, 40)],
)
def test_constants_are_the_papers_on_small_images_and_at_imagenet_sizes(size, translation, cutout):
    settings = OpSettings()
    for given in (size, tf.constant(size)):
        assert float(settings.translation(given, given)) == pytest.approx(translation)
        assert float(settings.cutout_half_size(given, given)) == pytest.approx(cutout)


def test_constants_never_fall_with_the_size():
    settings = OpSettings()
    for constant in (settings.translation, settings.cutout_half_size):
        assert (np.diff([constant(size, size) for size in range(1, 300)]) >= 0).all()


def test_the_smaller_side_counts():
    assert OpSettings().translation(32, 500) == OpSettings().translation(500, 32) == 4


def test_constants_that_are_given_hold_for_every_size():
    settings = OpSettings(translate_const=7, cutout_const=2.5)
    assert (settings.translation(32, 32), settings.cutout_half_size(300, 200)) == (7, 2.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"translate_const": 0}, r"`translate_const` must be a finite number of pixels above 0, or None. .*=0."),
        ({"cutout_const": -4}, r"`cutout_const` must be a finite number of pixels above 0, or None. .*=-4."),
        ({"contrast_mean": 128}, r"`contrast_mean` must be \"image\" or \"paper\". Received: contrast_mean=128."),
        ({"interpolation": "cubic"}, r"`interpolation` must be \"nearest\" or \"bilinear\". Received: .*='cubic'."),
        ({"fill": 256}, r"`fill` must be an integer, 0 to 255. Received: fill=256."),
        ({"fill": 0.5}, r"`fill` must be an integer, 0 to 255. Received: fill=0.5."),
    ],
)
def test_refuses_a_wrong_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        OpSettings(**arguments)
