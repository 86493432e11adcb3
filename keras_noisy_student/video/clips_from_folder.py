"""`clips_from_folder`: the videos below a folder as arrays, with or without labels."""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_noisy_student.video.clip_files import find_clips
from keras_noisy_student.video.clip_folder import ClipFolder
from keras_noisy_student.video.clip_labels import ClipLabels, csv_labels, folder_labels
from keras_noisy_student.video.clip_reader import ClipReader
from keras_noisy_student.video.decoded_clips import cached_clips, decode_clips
from keras_noisy_student.video.decoding import library


def clips_from_folder(
    directory: str | os.PathLike[str],
    *,
    num_frames: int,
    frame_size: int | tuple[int, int],
    labels: str | os.PathLike[str] | None = None,
    min_frames: int = 2,
    cache: str | os.PathLike[str] | None = None,
) -> ClipFolder:
    """Reads the clips below a folder into arrays of one shape. Needs PyAV (extra `video`).

    A clip is a video that FFmpeg reads, or a folder of images, which are its frames in the order of their names
    (`frame9` before `frame10`). Of each, the frames in the middle of `num_frames` equal segments are taken: all that
    counts is their order, not the time between them. They are turned upright where a video says how, and resized by
    the mean over the area of a pixel. As in `keras.utils.image_dataset_from_directory` they are stretched, so that
    the aspect ratio changes: crop faces before. Ask for more frames than the network sees, such as twice as many,
    where it or the noise draws its own from them.

    A clip that cannot be decoded, ends before the time that its header promises, or is too short, is left out of a
    folder without labels, with a warning, and refused where it has a label.

    Args:
        directory: a local folder. All clips below it are read, at any depth, sorted by their paths.
        num_frames: frames of each clip; of shorter clips some are taken more than once.
        frame_size: height and width in pixels, or one integer for both.
        labels: `None` for clips without labels, `"folders"` if the sub-folder of `directory` that a clip is in is
            named after its class, or the path of a CSV file in UTF-8 with the columns `path`, relative to the folder
            of that file, and `label`. Other columns, such as the subject, are kept; rows of clips that are not below
            `directory` are left out. Class ids are the places in the sorted names of the classes: to split one set of
            clips, read all of it and use `ClipFolder.subset`.
        min_frames: frames that a clip must have: 2 by default, since a single one is no video.
        cache: path of a `.npy` file, where the decoded clips are kept and mapped into memory, so that the next call
            decodes nothing unless a clip or an argument other than `labels` has changed. Without it they are in
            memory. One process at a time may write it.

    Raises:
        ValueError: for a value out of range; a folder without a clip, or none that can be read; a label without a
            clip, or a clip without a label; a clip with a label that cannot be read.
        ImportError: where PyAV is not installed.
        OSError: when the cache cannot be written.

    Example:
        >>> import tempfile
        >>> directory = tempfile.mkdtemp()
        >>> for label in ("calm", "glad"):
        ...     for number in range(10):
        ...         image = tf.cast(tf.fill([60, 80, 3], 10 * number), tf.uint8)
        ...         tf.io.write_file(f"{directory}/{label}/ann/{number}.png", tf.io.encode_png(image))
        >>> folder = kns.video.clips_from_folder(directory, num_frames=5, frame_size=48, labels="folders")
        >>> folder.clips.shape, folder.labels, folder.class_names
        ((2, 5, 48, 48, 3), array([0, 1], dtype=int32), ('calm', 'glad'))
    """
    reader = ClipReader(num_frames, frame_size, min_frames)
    if not isinstance(directory, str | os.PathLike) or not os.path.isdir(directory):
        raise ValueError(f"`directory` must be the path of a folder. Received: directory={directory!r}.")
    folder, cache_path = os.fspath(directory), _checked_cache(cache)
    paths = find_clips(folder)
    known = _known(labels, folder, paths)
    library()
    if cache_path is None:
        decoded = decode_clips(folder, paths, reader)
    else:
        decoded = cached_clips(cache_path, folder, paths, reader)
    _report(decoded.skipped, folder, is_refused=known is not None or not decoded.kept)
    return ClipFolder(
        clips=decoded.clips,
        labels=None if known is None else known.labels,
        class_names=() if known is None else known.class_names,
        paths=np.asarray(paths)[decoded.kept],
        columns={} if known is None else known.columns,
        skipped=decoded.skipped,
    )


def _checked_cache(cache: Any) -> str | None:
    if cache is None:
        return None
    if not isinstance(cache, str | os.PathLike) or not os.fspath(cache).endswith(".npy"):
        raise ValueError(f"`cache` must be the path of a .npy file, or None. Received: cache={cache!r}.")
    return os.fspath(cache)


def _known(labels: Any, directory: str, paths: Sequence[str]) -> ClipLabels | None:
    if labels is None:
        return None
    if not isinstance(labels, str | os.PathLike):
        raise ValueError(f'`labels` must be None, "folders" or the path of a CSV file. Received: labels={labels!r}.')
    return folder_labels(paths) if labels == "folders" else csv_labels(os.fspath(labels), directory, paths)


def _report(skipped: dict[str, str], directory: str, *, is_refused: bool) -> None:
    reasons = "".join(f"\n  {path}: {why}" for path, why in skipped.items())
    if skipped and is_refused:
        raise ValueError(
            f"`directory` must hold clips that can be read, all of them where they have labels. Received: {directory} "
            f"with {len(skipped)} that cannot:{reasons}\nMend these clips, or move them elsewhere with their labels; "
            "shorter ones are taken by a smaller `min_frames`."
        )
    if skipped:
        warnings.warn(f"{len(skipped)} clips of {directory} were left out:{reasons}", stacklevel=3)
