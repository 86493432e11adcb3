"""Writing: under a temporary name, flushed to the disk, then renamed.

On object stores a rename is a copy and a removal. Whoever is killed between the two leaves both names: harmless here,
because what a file should hold is known by its checksum, and the next writer replaces the temporary one.
"""

import contextlib
import os
import re
from collections.abc import Callable

import tensorflow as tf


def write_atomically(path: str, write: Callable[[str], None]) -> None:
    """Calls `write` with a temporary path beside `path`, then renames what it wrote to `path`.

    Raises:
        OSError: when the disk is full, the directory cannot be written, or the like; `path` is as it was then.
    """
    temporary = f"{path}.tmp"
    try:
        # Not overwritten: a link that someone left there would be followed.
        remove_if_there(temporary)
        write(temporary)
        _flush(temporary)
        tf.io.gfile.rename(temporary, path, overwrite=True)
        _flush(os.path.dirname(path))
    except (OSError, tf.errors.OpError) as error:
        with contextlib.suppress(OSError):
            remove_if_there(temporary)
        raise OSError(
            f"{path} could not be written: {getattr(error, 'message', error)}. Everything finished before is intact. "
            "Free the disk or mend the permissions, then start again with the same arguments."
        ) from error


def make_directory(path: str) -> None:
    """Makes a directory, and those above it, where they are absent.

    Raises:
        OSError: when the disk is full, or the directory above cannot be written.
    """
    try:
        tf.io.gfile.makedirs(path)
    except tf.errors.OpError as error:
        raise OSError(
            f"The directory {path} could not be made: {error.message}. Mend the permissions or the path, then start "
            "again with the same arguments."
        ) from error


def remove_if_there(path: str) -> None:
    """Removes a file, or does nothing where there is none.

    Raises:
        OSError: when it may not be removed.
    """
    try:
        tf.io.gfile.remove(path)
    except tf.errors.NotFoundError:
        return
    except tf.errors.OpError as error:
        raise OSError(f"{path} could not be removed: {error.message}. Mend the permissions.") from error


def matching_names(directory: str, pattern: str) -> list[str]:
    """The sorted names in a directory that a regular expression matches as a whole; none where there is no directory.

    Not `tf.io.gfile.glob`, which takes a `[` in the path of the directory for a pattern too.
    """
    try:
        names = tf.io.gfile.listdir(directory)
    except tf.errors.NotFoundError:
        return []
    return sorted(name.rstrip("/") for name in names if re.fullmatch(pattern, name.rstrip("/")))


def _flush(path: str) -> None:
    """Has the disk keep what the system still holds in memory: a power cut could otherwise empty a renamed file."""
    if os.name == "posix" and "://" not in path:
        descriptor = os.open(path or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
