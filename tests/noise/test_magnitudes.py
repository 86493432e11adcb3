import numpy as np
import pytest

from keras_noisy_student.noise.magnitudes import NUM_QUANTILES, jittered_magnitudes


def test_without_jitter_there_is_one_magnitude():
    assert jittered_magnitudes(9, 0) == (9,)


@pytest.mark.parametrize(("magnitude", "standard_deviation"), [(9, 0.5), (15, 3)])
def test_magnitudes_have_the_mean_and_the_deviation_of_a_normal_distribution(magnitude, standard_deviation):
    magnitudes = np.array(jittered_magnitudes(magnitude, standard_deviation))
    assert len(magnitudes) == NUM_QUANTILES
    assert magnitudes.mean() == pytest.approx(magnitude)
    assert magnitudes.std() == pytest.approx(standard_deviation, rel=0.01)
    within_one_deviation = np.abs(magnitudes - magnitude) < standard_deviation
    assert within_one_deviation.mean() == pytest.approx(0.683, abs=0.01)


def test_no_magnitude_is_below_0():
    magnitudes = np.array(jittered_magnitudes(1, 1))
    assert magnitudes.min() == 0
    assert (magnitudes == 0).mean() == pytest.approx(0.159, abs=0.01)
