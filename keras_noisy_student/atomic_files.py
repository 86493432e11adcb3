"""Files that are either complete or absent: written under a temporary name, then renamed. All through `tf.io.gfile`."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_READ_BYTES = 1 << 24


def write_atomically(path: str, write: Callable[[str], None]) -> None:
    """Calls `write` with a temporary path beside `path`, then renames what it wrote to `path`."""
    temporary = f"{path}.tmp"
    write(temporary)
    tf.io.gfile.rename(temporary, path, overwrite=True)


def write_json(path: str, value: Any) -> None:
    """Writes a JSON file atomically."""

    def write(temporary: str) -> None:
        with tf.io.gfile.GFile(temporary, "w") as file:
            file.write(json.dumps(value, indent=1))

    write_atomically(path, write)


def read_json(path: str) -> Any:
    """Reads a JSON file.

    Raises:
        ValueError: when the file is not JSON, naming it.
    """
    with tf.io.gfile.GFile(path) as file:
        text = file.read()
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: it should hold JSON. Received: {text[:60]!r} ({error}).") from error


def checksum(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
