import pytest

from keras_noisy_student.noise.op_parameters import OpParameters


@pytest.mark.parametrize("magnitude", [0, 1, 5, 7.5, 9, 10, 27])
def test_follows_the_authors_formulas(magnitude):
    parameters = OpParameters(magnitude)
    level = magnitude / 10

    assert parameters.degrees == pytest.approx(30 * level)
    assert parameters.shear == pytest.approx(0.3 * level)
    assert parameters.enhance_factor == pytest.approx(1.8 * level + 0.1)
    assert parameters.solarize_addition == int(110 * level)


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
