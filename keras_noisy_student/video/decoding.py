"""Decoding of videos and images by PyAV, to RGB frames of one size."""

import importlib
import os
from typing import Any

import numpy as np

from keras_noisy_student.noise.segments import middle_frames
from keras_noisy_student.video.thinned_frames import ThinnedFrames

# Of a video of up to 8 times as many frames as are wanted, each can still be taken; memory is bounded beyond.
_KEPT_PER_WANTED_FRAME = 8
# A header may promise a little more than there is, such as a pause after the last frame.
_SMALLEST_READ_PART = 0.9
# SWS_AREA, with SWS_FULL_CHR_H_INT, SWS_FULL_CHR_H_INP and SWS_ACCURATE_RND of FFmpeg's swscale.h: without them the
# colours of a small frame have half its resolution.
_AREA = 0x20 | 0x2000 | 0x4000 | 0x40000


class BrokenClipError(ValueError):
    """A clip that cannot be taken; the message says why, in words that follow its name and a colon."""


def library() -> Any:
    """PyAV.

    Raises:
        ImportError: where it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise ImportError(
            "Reading clips needs PyAV, which cannot be imported. Install it by "
            '`pip install "keras-noisy-student[video]"`.'
        ) from error


def decode_video(path: str, *, num_frames: int, frame_size: tuple[int, int], min_frames: int) -> np.ndarray:
    """The frames in the middle of `num_frames` equal segments of a video, upright.

    It is decoded once, in one thread; what its header says of the number of frames is not asked. Above 8 times as
    many frames as are wanted, the nearest of evenly spaced ones are taken, off by an eighth of a segment at most.

    Args:
        path: of a file.
        num_frames: frames to take.
        frame_size: height and width to which frames are resized, by the mean over the area of a pixel.
        min_frames: of the video.

    Returns:
        uint8 `(num_frames, height, width, 3)`.

    Raises:
        BrokenClipError: for a file that cannot be decoded, ends early, or has fewer frames than `min_frames`.
    """
    av = library()
    frames = ThinnedFrames(_ToRGB(av, frame_size), at_most=_KEPT_PER_WANTED_FRAME * num_frames)
    try:
        # FFmpeg takes what precedes a colon for a protocol, unless it is part of a whole path. Comments in an unknown
        # encoding are no reason to refuse a video.
        with av.open(os.path.abspath(path), metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if stream is None or stream.codec_context is None:
                raise BrokenClipError("it holds no video that can be decoded")
            stream.codec_context.thread_count = 1
            ending = _Ending(container, stream)
            for packet in container.demux():
                ending.look_at(packet)
                for frame in packet.decode() if packet.stream_index == stream.index else ():
                    frames.add(frame)
            ending.check(promised=_promised_seconds(av, container))
    except av.error.FFmpegError as error:
        raise BrokenClipError(f"it cannot be decoded ({error.strerror})") from error
    check_num_frames(frames.count, min_frames)
    return frames.nearest(middle_frames(frames.count, num_frames).numpy())


def decode_image(path: str, *, frame_size: tuple[int, int]) -> np.ndarray:
    """An image, upright and resized as frames are.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        BrokenClipError: for a file that cannot be decoded, or ends early.
    """
    av = library()
    try:
        # Opened here: FFmpeg takes a `%` in a name for a pattern of many names.
        with open(path, "rb") as file, av.open(file, metadata_errors="replace") as container:
            codec = container.streams.video[0].codec_context
            codec.thread_count = 1
            # Of a JPEG or WebP that was cut off, FFmpeg would else make up the rows that are missing.
            codec.options = {"err_detect": "explode"}
            for frame in container.decode(video=0):
                return _ToRGB(av, frame_size)(frame)
    except (av.error.FFmpegError, OSError, IndexError) as error:
        name = os.path.basename(path)
        raise BrokenClipError(f"its frame {name} cannot be decoded ({getattr(error, 'strerror', error)})") from error
    raise BrokenClipError(f"its frame {os.path.basename(path)} holds no image")


def check_num_frames(num_frames: int, min_frames: int) -> None:
    """Raises a `BrokenClipError` for a clip of too few frames."""
    if num_frames < min_frames:
        raise BrokenClipError(f"it has {num_frames} frame{'s' * (num_frames != 1)}, fewer than min_frames={min_frames}")


class _ToRGB:
    """Turns a frame upright and resizes it: an array `(height, width, 3)`."""

    def __init__(self, av: Any, frame_size: tuple[int, int]) -> None:
        # One for all frames: it keeps the tables of the scaling.
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._frame_size = frame_size

    def __call__(self, frame: Any) -> np.ndarray:
        quarter_turns = round(frame.rotation / 90) % 4
        height, width = self._frame_size if quarter_turns % 2 == 0 else self._frame_size[::-1]
        rgb = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=_AREA, threads=1)
        array: np.ndarray = rgb.to_ndarray()
        return np.rot90(array, quarter_turns) if quarter_turns else array


class _Ending:
    """Tells a file that was cut off from a whole one.

    FFmpeg reads such a file as a shorter one, unless the decoder stumbles over its last packet. The times of all
    streams count, since sound may go on after the last picture.
    """

    def __init__(self, container: Any, video: Any) -> None:
        self._container = container
        self._video = video
        # First and last time of each stream, in its own unit.
        self._spans: dict[int, tuple[int, int]] = {}
        self._num_packets = 0
        self._is_cut_off = False

    def look_at(self, packet: Any) -> None:
        """The next packet; those that only flush a decoder are empty."""
        if not packet.size:
            return
        stream, time = packet.stream_index, packet.dts if packet.pts is None else packet.pts
        if stream == self._video.index:
            self._num_packets += 1
            self._is_cut_off = packet.is_corrupt
        if time is not None:
            first, last = self._spans.get(stream, (time, time))
            self._spans[stream] = min(first, time), max(last, time + (packet.duration or 0))

    def check(self, *, promised: float) -> None:
        """Raises a `BrokenClipError` when a packet is incomplete, or clearly less was read than the header promises.

        Args:
            promised: seconds; 0 where nothing is promised.
        """
        units = {stream: float(self._container.streams[stream].time_base) for stream in self._spans}
        first = min((units[stream] * first for stream, (first, _) in self._spans.items()), default=0.0)
        read = max((units[stream] * last for stream, (_, last) in self._spans.items()), default=0.0) - min(first, 0)
        # Not every container says how long its last frame is shown.
        last_frame = read / max(self._num_packets, 1)
        is_short = 0 < read + last_frame < _SMALLEST_READ_PART * promised
        if self._is_cut_off or is_short:
            of = f" of {promised:.1f}" if is_short else ""
            raise BrokenClipError(f"it is cut off after {read:.1f}{of} seconds")


def _promised_seconds(av: Any, container: Any) -> float:
    """What the header says of the length; 0 where it says nothing, or counts frames, as that of AVI does, unchecked."""
    if container.duration is None or container.format.name == "avi":
        return 0.0
    return float(container.duration / av.time_base)
