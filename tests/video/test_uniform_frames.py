import fractions
import math

import numpy as np
import pytest

from keras_noisy_student.video.uniform_frames import uniform_frames


@pytest.mark.parametrize("num_available", [1, 2, 3, 7, 10, 31, 60, 1001])
@pytest.mark.parametrize("num_wanted", [1, 2, 5, 10, 32])
def test_they_are_in_the_middle_of_equal_segments(num_available, num_wanted):
    segment = fractions.Fraction(num_available, num_wanted)
    expected = [math.floor(place * segment + segment / 2) for place in range(num_wanted)]
    np.testing.assert_array_equal(uniform_frames(num_available, num_wanted), expected)


def test_a_clip_of_just_so_many_frames_is_taken_as_it_is():
    np.testing.assert_array_equal(uniform_frames(9, 9), np.arange(9))


def test_frames_of_a_short_clip_are_repeated():
    assert uniform_frames(2, 5).tolist() == [0, 0, 1, 1, 1]
