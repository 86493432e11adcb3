import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.op_parameters import OpParameters, constant_for_size


@pytest.mark.parametrize("magnitude", [0, 1, 5, 7.5, 9, 10, 27])
def test_follows_the_authors_formulas(magnitude):
    parameters = OpParameters(magnitude, translate_const=100, cutout_const=40)
    level = magnitude / 10

    assert parameters.degrees == pytest.approx(30 * level)
    assert parameters.shear == pytest.approx(0.3 * level)
    assert parameters.enhance_factor == pytest.approx(1.8 * level + 0.1)
    assert parameters.solarize_addition == int(110 * level)
    np.testing.assert_allclose(parameters.translation(224, 224), 100 * level, rtol=1e-6)
    assert int(parameters.cutout_half_size(224, 224)) == int(40 * level)


@pytest.mark.parametrize(
    ("magnitude", "overflow", "num_bits", "threshold"),
    [
        (0, "clamp", 1, 0),
        (2, "clamp", 1, 51),
        (9, "clamp", 3, 230),
        (9, "paper", 3, 230),
        (10, "clamp", 4, 256),
        (10, "paper", 4, 0),
        (20, "clamp", 8, 256),
        (20, "paper", 8, 0),
        (27, "clamp", 8, 256),
        (27, "paper", 1, 691 % 256),
    ],
)
def test_posterize_and_solarize_overflow_as_told(magnitude, overflow, num_bits, threshold):
    parameters = OpParameters(magnitude, overflow)
    assert (parameters.num_bits, parameters.solarize_threshold) == (num_bits, threshold)


@pytest.mark.parametrize(
    ("size", "translation", "cutout"),
    [(8, 1, 1), (28, 3, 3), (32, 4, 4), (64, 8, 8), (144, 54, 24), (224, 100, 40), (600, 100, 40)],
)
def test_constants_are_the_papers_on_small_images_and_at_imagenet_sizes(size, translation, cutout):
    assert float(constant_for_size(size, 100)) == pytest.approx(translation)
    assert float(constant_for_size(size, 40)) == pytest.approx(cutout)


def test_constants_never_fall_with_the_size():
    for imagenet_constant in (100, 40):
        constants = [float(constant_for_size(size, imagenet_constant)) for size in range(1, 300)]
        assert (np.diff(constants) >= 0).all()


def test_the_smaller_side_counts_and_may_be_a_tensor():
    parameters = OpParameters(10)
    assert float(parameters.translation(32, 500)) == float(parameters.translation(500, 32)) == 4
    assert int(parameters.cutout_half_size(tf.constant(224), tf.constant(300))) == 40
