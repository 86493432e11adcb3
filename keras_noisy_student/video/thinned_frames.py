"""`ThinnedFrames`: evenly spaced frames of a video whose length is known only at its end."""

from collections.abc import Callable
from typing import Any

import numpy as np


class ThinnedFrames:
    """Keeps every frame of a video, and whenever too many are kept, every second one of those from then on.

    So memory is bounded for a video of any length, which is decoded once and whose header need not be believed. Up to
    `at_most` frames nothing is lost; beyond, what is kept is never further apart than `2 / at_most` of the video.

    Args:
        convert: from a frame to an array; it is called for kept frames only.
        at_most: number of frames that are kept.

    Example:
        >>> frames = ThinnedFrames(np.asarray, at_most=4)
        >>> for place in range(9):
        ...     frames.add(place)
        >>> frames.count, frames.nearest(np.array([0, 3, 4, 7]))
        (9, array([0, 4, 4, 8]))
    """

    def __init__(self, convert: Callable[[Any], np.ndarray], *, at_most: int) -> None:
        self._convert = convert
        self._at_most = at_most
        self._kept: list[np.ndarray] = []
        self._stride = 1
        self.count = 0

    def add(self, frame: Any) -> None:
        """The next frame of the video."""
        if self.count % self._stride == 0:
            self._kept.append(self._convert(frame))
        self.count += 1
        if len(self._kept) > self._at_most:
            self._kept = self._kept[::2]
            self._stride *= 2

    def nearest(self, places: np.ndarray) -> np.ndarray:
        """Of the frames that are kept, those nearest to some places in the video, as one array."""
        kept_places = np.minimum((places + self._stride // 2) // self._stride, len(self._kept) - 1)
        return np.stack([self._kept[place] for place in kept_places])
