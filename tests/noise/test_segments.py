"""Segments of a clip, against their definition in fractions."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from keras_noisy_student.noise.segments import middle_frames, segment_starts

LENGTHS = [(num_frames, num_segments) for num_segments in (1, 2, 3, 8) for num_frames in (8, 9, 11, 30, 31)]


def segments_by_definition(num_frames, num_segments):
    """The frames whose middle falls into each segment."""
    ends = [Fraction(segment * num_frames, num_segments) for segment in range(num_segments + 1)]
    return [
        [frame for frame in range(num_frames) if ends[segment] <= frame + Fraction(1, 2) < ends[segment + 1]]
        for segment in range(num_segments)
    ]


@pytest.mark.parametrize(("num_frames", "num_segments"), LENGTHS)
def test_a_segment_holds_the_frames_whose_middle_falls_into_it(num_frames, num_segments):
    starts = segment_starts(num_frames, num_segments).numpy()
    segments = [list(range(start, end)) for start, end in itertools.pairwise(starts)]
    assert segments == segments_by_definition(num_frames, num_segments)


@pytest.mark.parametrize(("num_frames", "num_segments"), LENGTHS)
def test_the_middle_frame_holds_the_middle_of_its_segment_and_belongs_to_it(num_frames, num_segments):
    frames = middle_frames(num_frames, num_segments).numpy()
    assert frames.tolist() == [int(Fraction((2 * i + 1) * num_frames, 2 * num_segments)) for i in range(num_segments)]
    for frame, segment in zip(frames, segments_by_definition(num_frames, num_segments), strict=True):
        assert frame in segment


def test_frames_of_a_shorter_clip_repeat():
    np.testing.assert_array_equal(middle_frames(3, 5), [0, 0, 1, 2, 2])
