import re

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise.segments import middle_frames, segment_starts
from keras_noisy_student.run_directory.description import describe
from keras_noisy_student.video.temporal_views import temporal_views


def _clips(num_frames):
    """Two clips whose frames hold their own numbers."""
    return np.tile(np.arange(num_frames)[None, :, None, None, None], (2, 1, 4, 3, 1))


def _taken(view, num_frames):
    viewed = np.asarray(view(_clips(num_frames)))
    assert viewed.shape == (2, view.num_frames, 4, 3, 1)
    np.testing.assert_array_equal(viewed[0], viewed[1])
    return viewed[0, :, 0, 0, 0]


@pytest.mark.parametrize("num_frames", [12, 13, 17, 30])
def test_views_take_another_frame_of_every_segment_each_and_together_a_finer_sampling(num_frames):
    frames = np.stack([_taken(view, num_frames) for view in temporal_views(4, 3)], axis=1)
    np.testing.assert_array_equal(np.ravel(frames), middle_frames(num_frames, 12))
    starts = segment_starts(num_frames, 4).numpy()
    for segment, in_segment in enumerate(frames):
        assert len(set(in_segment)) == 3
        assert starts[segment] - 1 <= in_segment[0] <= in_segment[-1] <= starts[segment + 1]


def test_a_single_view_is_what_sampling_does_in_evaluation():
    (view,) = temporal_views(4, 1)
    clips = _clips(11)
    np.testing.assert_array_equal(view(clips), kns.SegmentSampling(4)(clips, training=False))


def test_views_run_in_graphs_of_clips_of_unknown_length():
    view = temporal_views(4, 2)[1]
    run = tf.function(view, [tf.TensorSpec([None, None, 4, 3, 1], tf.int64)])
    np.testing.assert_array_equal(run(_clips(9)), view(_clips(9)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`clips` must have 8 frames or more"):
        run(_clips(7))


def test_views_describe_themselves():
    assert describe(temporal_views(4, 2)) == [
        {"class": "TemporalView", "num_frames": 4, "index": 0, "num_views": 2},
        {"class": "TemporalView", "num_frames": 4, "index": 1, "num_views": 2},
    ]


def test_clips_that_are_too_short_are_refused():
    message = "`clips` must have 8 frames or more, which 2 views of `num_frames`=4 take. Received: clips of shape (2, 7"
    fix = "To resolve this, read clips of 8 frames or more, or take fewer `num_views`."
    with pytest.raises(ValueError, match=f"{re.escape(message)}.*{re.escape(fix)}"):
        temporal_views(4, 2)[0](_clips(7))


@pytest.mark.parametrize("argument", ["num_frames", "num_views"])
@pytest.mark.parametrize("value", [0, 1.5, None])
def test_numbers_must_be_positive_integers(argument, value):
    message = rf"`{argument}` must be a positive integer\. Received: {argument}={value}\."
    with pytest.raises(ValueError, match=message):
        temporal_views(**{"num_frames": 4, "num_views": 2, argument: value})
