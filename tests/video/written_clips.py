"""Videos to read: each frame is a number, told by its brightness."""

import fractions
import struct

import numpy as np
import pytest

av = pytest.importorskip("av")


def numbered_frames(num_frames, *, height=50, width=66, step=6):
    """Uint8 `(num_frames, height, width, 3)`: frame `n` is `10 + step * n` grey."""
    brightness = 10 + step * np.arange(num_frames)
    return np.broadcast_to(brightness[:, None, None, None], (num_frames, height, width, 3)).astype(np.uint8)


def numbers_of(clip, *, step=6):
    """The numbers of the frames of a clip, rounded: codecs lose a little."""
    return np.round((clip.mean(axis=(1, 2, 3)) - 10) / step).astype(int).tolist()


def write_video(path, frames, *, codec="h264", rate=30, pixels="yuv420p", times=None, sound_seconds=0.0, options=None):
    """Writes a video.

    Args:
        path: whose suffix says the container.
        frames: uint8 `(frames, height, width, 3)`.
        codec: name of the encoder.
        rate: frames per second.
        pixels: format of the pixels.
        times: of the frames in thousandths of a second, where they are not evenly spaced.
        sound_seconds: length of a silent track beside it.
        options: of the container.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.bit_rate = 4_000_000
        if times is not None:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        sound = container.add_stream("aac", rate=8000) if sound_seconds else None
        for place, pixels_of_frame in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_of_frame), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[place], fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _write_silence(container, sound, sound_seconds)


def write_expressions(directory, *, people, classes, num_clips):
    """Writes labelled clips of people, unlabelled ones, and the CSV file of the labelled: brightness tells the class.

    Args:
        directory: a new one, with `labeled/`, `unlabeled/` and `clips.csv`.
        people: their names.
        classes: their names.
        num_clips: of each person and class, and of unlabelled ones of each class.
    """
    rng = np.random.default_rng(0)
    rows = ["path,label,subject"]
    for folder in ("labeled", "unlabeled"):
        (directory / folder).mkdir(parents=True)
    for place, label in enumerate(classes):
        for number in range(num_clips):
            for person in (*people, None):
                name = f"unlabeled/{label}_{number}.mp4" if person is None else f"labeled/{label}_{person}_{number}.mp4"
                brightness = 30 + 180 * place // max(len(classes) - 1, 1) + rng.integers(0, 20, (40, 1, 1, 1))
                frames = np.broadcast_to(brightness, (40, 32, 32, 3)).astype(np.uint8)
                write_video(directory / name, frames, codec="mpeg4")
                if person is not None:
                    rows.append(f"{name},{label},{person}")
    (directory / "clips.csv").write_text("\n".join(rows))


def write_sound(path, seconds=1.0):
    """Writes a file that holds sound alone."""
    with av.open(str(path), "w") as container:
        _write_silence(container, container.add_stream("aac", rate=8000), seconds)


def turn(path, *, clockwise_quarter):
    """Has the header of an MP4 file say that players are to turn it, as telephones do."""
    a, b, c, d = {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}[clockwise_quarter]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def cut(path, part):
    """Leaves the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])


def _write_silence(container, stream, seconds):
    for _ in range(int(seconds * 8000 / 1024) + 1):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
