import numpy as np
import pytest

from keras_noisy_student.video.thinned_frames import ThinnedFrames


def thinned(num_frames, at_most):
    converted = []

    def convert(place):
        converted.append(place)
        return np.asarray(place)

    frames = ThinnedFrames(convert, at_most=at_most)
    for place in range(num_frames):
        frames.add(place)
        assert len(frames._kept) <= at_most
    return frames, converted


@pytest.mark.parametrize("num_frames", [1, 5, 16])
def test_nothing_is_lost_up_to_the_number_that_is_kept(num_frames):
    frames, _ = thinned(num_frames, at_most=16)
    assert frames.count == num_frames
    np.testing.assert_array_equal(frames.nearest(np.arange(num_frames)), np.arange(num_frames))


@pytest.mark.parametrize("at_most", [4, 7, 16])
@pytest.mark.parametrize("num_frames", [17, 18, 32, 33, 100, 1000])
def test_beyond_the_nearest_of_evenly_spaced_frames_are_given(num_frames, at_most):
    frames, _ = thinned(num_frames, at_most)
    kept = np.array(frames._kept)
    np.testing.assert_array_equal(kept, np.arange(0, num_frames, kept[1]))
    assert kept[1] <= 2 * num_frames / at_most
    places = np.arange(num_frames)
    errors = np.abs(frames.nearest(places) - places)
    np.testing.assert_array_equal(errors, np.abs(kept - places[:, None]).min(axis=1))


def test_few_frames_of_a_long_video_are_converted():
    _, converted = thinned(10_000, at_most=16)
    assert len(converted) < 16 * 12
