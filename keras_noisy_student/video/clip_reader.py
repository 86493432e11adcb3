"""`ClipReader`: how clips become arrays of one shape. `read_clip`: one of them."""

import dataclasses
import os
from typing import Any

import numpy as np

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.noise.segments import middle_frames
from keras_noisy_student.video.clip_files import frame_files
from keras_noisy_student.video.decoding import BrokenClipError, check_num_frames, decode_image, decode_video, library
from keras_noisy_student.video.frame_size import height_and_width


@dataclasses.dataclass(frozen=True)
class ClipReader:
    """How clips become arrays of one shape; the arguments are those of `clips_from_folder`.

    Args:
        num_frames: frames that are taken.
        frame_size: height and width; one integer stands for both.
        min_frames: frames that a clip must have.

    Raises:
        ValueError: for a value out of range.
    """

    num_frames: int
    frame_size: Any
    min_frames: int = 2

    def __post_init__(self) -> None:
        check_count("num_frames", self.num_frames)
        check_count("min_frames", self.min_frames)
        # NumPy's integers are of one size, and no JSON.
        object.__setattr__(self, "num_frames", int(self.num_frames))
        object.__setattr__(self, "min_frames", int(self.min_frames))
        object.__setattr__(self, "frame_size", height_and_width(self.frame_size))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of what is read: `(num_frames, height, width, 3)`."""
        return (self.num_frames, *self.frame_size, 3)

    def read(self, path: str) -> np.ndarray:
        """The clip in a video or in a folder of frames.

        Raises:
            BrokenClipError: when it cannot be decoded, ends early, or is too short.
        """
        if not os.path.isdir(path):
            return decode_video(
                path, num_frames=self.num_frames, frame_size=self.frame_size, min_frames=self.min_frames
            )
        files = frame_files(path)
        check_num_frames(len(files), self.min_frames)
        taken, places = np.unique(middle_frames(len(files), self.num_frames), return_inverse=True)
        return np.stack([decode_image(files[place], frame_size=self.frame_size) for place in taken])[places]


def read_clip(
    path: str | os.PathLike[str], *, num_frames: int, frame_size: int | tuple[int, int], min_frames: int = 2
) -> np.ndarray:
    """Reads one clip as `clips_from_folder` reads many. Needs PyAV (extra `video`).

    Args:
        path: of a video, or of a folder of frames.
        num_frames: see `clips_from_folder`.
        frame_size: see there.
        min_frames: see there.

    Returns:
        uint8 `(num_frames, height, width, 3)`.

    Raises:
        ValueError: for a value out of range, and for a clip that cannot be decoded, ends early, or is too short.
        ImportError: where PyAV is not installed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> for number in range(10):
        ...     image = tf.cast(tf.fill([60, 80, 3], 10 * number), tf.uint8)
        ...     tf.io.write_file(f"{folder}/{number}.png", tf.io.encode_png(image))
        >>> clip = kns.video.read_clip(folder, num_frames=5, frame_size=48)
        >>> clip.shape, clip[:, 0, 0, 0]
        ((5, 48, 48, 3), array([10, 30, 50, 70, 90], dtype=uint8))
    """
    if not isinstance(path, str | os.PathLike) or not os.path.exists(path):
        raise ValueError(f"`path` must be that of a video or of a folder of frames. Received: path={path!r}.")
    reader = ClipReader(num_frames, frame_size, min_frames)
    library()
    try:
        return reader.read(os.fspath(path))
    except BrokenClipError as error:
        raise ValueError(f"`path` must be that of a clip that can be read. Received: {path}: {error}.") from error
