"""Which files and folders below a directory are clips."""

import os
import re

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"}
)
IMAGE_SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".webp"])


def find_clips(directory: str) -> list[str]:
    """The clips below a directory, at any depth.

    A clip is a video, or a folder that holds images and no video: each image is a frame. Hidden files are none, and
    links to folders are not followed.

    Args:
        directory: whose own images are no clip.

    Returns:
        Paths relative to `directory`, with forward slashes, sorted.

    Raises:
        ValueError: where there is none.
    """
    clips: list[str] = []
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        videos = [name for name in files if _has_suffix(name, VIDEO_SUFFIXES)]
        if videos:
            clips += [os.path.join(folder, name) for name in videos]
        elif folder != directory and frame_files(folder):
            clips.append(folder)
    if not clips:
        raise ValueError(
            f"`directory` must hold clips: videos ({', '.join(sorted(VIDEO_SUFFIXES))}) or folders of images "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}). Received: {directory}, which holds none."
        )
    return sorted(os.path.relpath(clip, directory).replace(os.sep, "/") for clip in clips)


def frame_files(folder: str) -> list[str]:
    """The images in a folder, as paths; numbers in their names count as numbers, so that frame 10 follows frame 9."""
    names = [name for name in os.listdir(folder) if _has_suffix(name, IMAGE_SUFFIXES)]
    return [os.path.join(folder, name) for name in sorted(names, key=_natural_key)]


def file_states(path: str) -> list[tuple[str, int, int]]:
    """Name, size in bytes and time of change of the file, or of every frame, of a clip: what tells that it changed."""
    files = frame_files(path) if os.path.isdir(path) else [path]
    states = ((os.path.basename(file), os.stat(file)) for file in files)
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _has_suffix(name: str, suffixes: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes and not name.startswith(".")


def _natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"[0-9]+|[^0-9]+", os.path.splitext(name)[0])
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts], name
