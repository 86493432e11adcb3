"""`uniform_frames`: which frames stand for a clip of any length."""

import numpy as np


def uniform_frames(num_available: int, num_wanted: int) -> np.ndarray:
    """The frames in the middle of `num_wanted` equal segments of a clip.

    Args:
        num_available: frames of the clip, 1 or more.
        num_wanted: frames to take, 1 or more. Of a clip of fewer frames, some are taken more than once.

    Returns:
        Their places, int64 `(num_wanted,)`, never falling.

    Example:
        >>> uniform_frames(60, 4), uniform_frames(3, 4)
        (array([ 7, 22, 37, 52]), array([0, 1, 1, 2]))
    """
    # In integers: floats would take another frame where the middle of a segment is the border of two frames.
    return (2 * np.arange(num_wanted) + 1) * num_available // (2 * num_wanted)
