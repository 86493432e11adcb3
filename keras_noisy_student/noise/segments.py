"""A clip as segments of equal length: where they begin, and the frame in the middle of each."""

import tensorflow as tf


def segment_starts(num_frames: tf.Tensor | int, num_segments: int) -> tf.Tensor:
    """The first frame of each segment, and the end of the last one.

    A frame belongs to the segment that its middle falls into, so that with `num_segments` frames or more every segment
    has one, and its middle frame is among them.

    Args:
        num_frames: number of frames of the clip, int32.
        num_segments: number of segments.

    Returns:
        int32 `(num_segments + 1,)`, from 0 to `num_frames`.

    Example:
        >>> segment_starts(10, 4).numpy()
        array([ 0,  2,  5,  7, 10], dtype=int32)
    """
    # Rounded up: of two segments that a frame lies in by halves, it belongs to the later one.
    return (2 * num_frames * tf.range(num_segments + 1) + num_segments - 1) // (2 * num_segments)


def middle_frames(num_frames: tf.Tensor | int, num_segments: int) -> tf.Tensor:
    """The frame that the middle of each segment falls into.

    Args:
        num_frames: number of frames of the clip, int32. With fewer than `num_segments`, frames repeat.
        num_segments: number of segments.

    Returns:
        int32 `(num_segments,)`, in ascending order.

    Example:
        >>> middle_frames(10, 4).numpy(), middle_frames(2, 4).numpy()
        (array([1, 3, 6, 8], dtype=int32), array([0, 0, 1, 1], dtype=int32))
    """
    return (2 * tf.range(num_segments) + 1) * num_frames // (2 * num_segments)
