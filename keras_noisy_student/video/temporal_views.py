"""`temporal_views`: several samplings of a clip in time, for a teacher that averages over them."""

import dataclasses

import tensorflow as tf

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.noise.clip_inputs import checked_length
from keras_noisy_student.noise.segments import middle_frames


@dataclasses.dataclass(frozen=True)
class TemporalView:
    """One of the functions that `temporal_views` returns."""

    num_frames: int
    index: int
    num_views: int

    def __call__(self, clips: tf.Tensor) -> tf.Tensor:
        """Takes one frame of each segment of each clip."""
        num_taken = self.num_frames * self.num_views
        why = f"{self.num_views} views of `num_frames`={self.num_frames} take"
        fix = f"read clips of {num_taken} frames or more, or take fewer `num_views`"
        length = checked_length(clips, at_least=num_taken, why=why, fix=fix)
        return tf.gather(clips, middle_frames(length, num_taken)[self.index :: self.num_views], axis=-4)


def temporal_views(num_frames: int, num_views: int) -> list[TemporalView]:
    """Views of a batch of clips for `TeacherAveraging`: each takes other frames, evenly spaced, and always the same.

    Clips are divided into `num_frames` segments as by `SegmentSampling`. View `i` takes the frame at
    `(i + 0.5) / num_views` of each segment, so that all views together are the clip at `num_views` times the rate.

    Args:
        num_frames: frames of a view, those that the network sees.
        num_views: number of views.

    Returns:
        `num_views` functions from clips `(batch, time, height, width, channels)`, of `num_frames * num_views` frames or
        more, to clips `(batch, num_frames, height, width, channels)`. They raise what `SegmentSampling` raises for
        clips that are too short.

    Raises:
        ValueError: for a number below 1.

    Example:
        >>> clips = tf.tile(tf.range(12)[None, :, None, None, None], [1, 1, 8, 8, 3])
        >>> for view in kns.video.temporal_views(num_frames=4, num_views=3):
        ...     print(view(clips)[0, :, 0, 0, 0].numpy())
        [0 3 6 9]
        [ 1  4  7 10]
        [ 2  5  8 11]
        >>> pseudo_labeling = PseudoLabeling(averaging=TeacherAveraging(views=kns.video.temporal_views(8, 3)))
    """
    check_count("num_frames", num_frames)
    check_count("num_views", num_views)
    return [TemporalView(int(num_frames), index, int(num_views)) for index in range(num_views)]
