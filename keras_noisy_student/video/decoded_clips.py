"""Many clips decoded side by side, into memory or into a file that is mapped into memory ever after."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from keras_noisy_student.storage.atomic_files import make_directory, remove_if_there, write_atomically
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.typed_fields import from_json
from keras_noisy_student.video.clip_files import file_states
from keras_noisy_student.video.clip_reader import ClipReader
from keras_noisy_student.video.decoding import BrokenClipError

# Part of what a cache is made of: to be raised when the same clips are decoded to other numbers.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class DecodedClips:
    """Clips that could be read, and what became of the others.

    Args:
        clips: uint8 `(clips, num_frames, height, width, 3)`.
        kept: the places of these clips among those that were asked for.
        skipped: why a clip could not be taken, by its path.
    """

    clips: np.ndarray
    kept: list[int]
    skipped: dict[str, str]


def decode_clips(directory: str, paths: Sequence[str], reader: ClipReader) -> DecodedClips:
    """Decodes clips into memory.

    Args:
        directory: that `paths` are relative to.
        paths: of the clips.
        reader: what becomes of each.
    """
    clips = np.empty((len(paths), *reader.shape), np.uint8)
    rows = iter(clips)
    kept, skipped = _hand_on(directory, paths, reader, to=lambda clip: np.copyto(next(rows), clip))
    return DecodedClips(clips[: len(kept)], kept, skipped)


def cached_clips(cache: str, directory: str, paths: Sequence[str], reader: ClipReader) -> DecodedClips:
    """Decodes clips into a `.npy` file, unless it holds these clips already, and maps it into memory.

    Args:
        cache: path of the file. A JSON file beside it says what it was made of.
        directory: as in `decode_clips`.
        paths: as there.
        reader: as there.

    Raises:
        OSError: when the file cannot be written.
    """
    description = f"{cache}.json"
    made_of = _digest(directory, paths, reader)
    stored = _stored(description)
    if stored is None or stored.made_of != made_of or (clips := _mapped(cache, len(stored.kept), reader)) is None:
        make_directory(os.path.dirname(os.path.abspath(cache)))
        # First: who is killed before the end must not leave a file that is described as another one.
        remove_if_there(description)
        kept, skipped = _write(cache, directory, paths, reader)
        stored = _Stored(made_of, kept, skipped)
        write_json(description, dataclasses.asdict(stored))
        clips = np.load(cache, mmap_mode="r") if kept else np.empty((0, *reader.shape), np.uint8)
    return DecodedClips(clips, stored.kept, stored.skipped)


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What the JSON file beside a cache says.

    Args:
        made_of: digest of the clips and of the settings.
        kept: see `DecodedClips`.
        skipped: see there.
    """

    made_of: str
    kept: list[int]
    skipped: dict[str, str]


def _hand_on(
    directory: str, paths: Sequence[str], reader: ClipReader, *, to: Callable[[np.ndarray], object]
) -> tuple[list[int], dict[str, str]]:
    """Calls `to` with each clip that can be read, in their order; returns `kept` and `skipped` of `DecodedClips`."""
    kept: list[int] = []
    skipped: dict[str, str] = {}
    for place, (clip, why) in enumerate(_decoded(directory, paths, reader)):
        if why:
            skipped[paths[place]] = why
        else:
            to(clip)
            kept.append(place)
    return kept, skipped


def _decoded(directory: str, paths: Sequence[str], reader: ClipReader) -> Iterator[tuple[np.ndarray, str]]:
    """Each clip, or zeros and the reason. FFmpeg decodes outside of Python's lock, so that threads do work at once."""

    def read(place: int) -> tuple[np.ndarray, str]:
        try:
            return reader.read(os.path.join(directory, paths[place])), ""
        except BrokenClipError as error:
            return np.zeros(reader.shape, np.uint8), str(error)

    def read_in_graph(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        clip, why = tf.numpy_function(read, [place], (tf.uint8, tf.string))
        return clip, why

    dataset = tf.data.Dataset.range(len(paths)).map(read_in_graph, num_parallel_calls=tf.data.AUTOTUNE)
    for clip, why in dataset.as_numpy_iterator():
        yield clip, why.decode()


def _write(cache: str, directory: str, paths: Sequence[str], reader: ClipReader) -> tuple[list[int], dict[str, str]]:
    written: list[tuple[list[int], dict[str, str]]] = []

    def write(temporary: str) -> None:
        # Appended: where a file that is mapped into memory fills the disk, the process is killed without an error.
        with open(temporary, "wb") as file:
            _write_header(file, len(paths), reader)
            kept, skipped = _hand_on(directory, paths, reader, to=lambda clip: file.write(clip.tobytes()))
            file.seek(0)
            _write_header(file, len(kept), reader)
        written.append((kept, skipped))

    write_atomically(cache, write)
    return written[0]


def _write_header(file: BinaryIO, num_clips: int, reader: ClipReader) -> None:
    """Writes what a `.npy` file begins with: NumPy makes it equally long for any number of rows."""
    shape = (num_clips, *reader.shape)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _stored(description: str) -> _Stored | None:
    """A cache that was damaged is made again."""
    try:
        return from_json(_Stored, read_json(description))
    except (DamagedFileError, TypeError):
        return None


def _mapped(cache: str, num_clips: int, reader: ClipReader) -> np.ndarray | None:
    try:
        clips: np.ndarray = np.load(cache, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return clips if clips.dtype == np.uint8 and clips.shape == (num_clips, *reader.shape) else None


def _digest(directory: str, paths: Sequence[str], reader: ClipReader) -> str:
    states = [[path, file_states(os.path.join(directory, path))] for path in paths]
    return hashlib.sha256(json.dumps([_VERSION, dataclasses.astuple(reader), states]).encode()).hexdigest()
