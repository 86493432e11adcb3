"""JSON files that hold the checksum of their content: one changed digit would be valid JSON too."""

import hashlib
import json
from typing import Any

import tensorflow as tf

from keras_noisy_student.storage.atomic_files import write_atomically
from keras_noisy_student.storage.checksums import DamagedFileError


def write_json(path: str, content: Any) -> None:
    """Writes `{"sha256": ..., "content": ...}` atomically."""

    def write(temporary: str) -> None:
        with tf.io.gfile.GFile(temporary, "w") as file:
            file.write(json.dumps({"sha256": _digest(content), "content": content}, indent=1))

    write_atomically(path, write)


def read_json(path: str) -> Any:
    """Reads the content that `write_json` wrote.

    Raises:
        DamagedFileError: when the file is missing, is not JSON, or was changed since.
    """
    if not tf.io.gfile.exists(path):
        raise DamagedFileError(f"{path} is missing.")
    with tf.io.gfile.GFile(path, "rb") as file:
        text = file.read()
    try:
        value = json.loads(text)
        content, expected = value["content"], value["sha256"]
        received = _digest(content)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedFileError(
            f'{path} is damaged: expected JSON {{"sha256": ..., "content": ...}}. Received: {text[:40]!r}...'
        ) from error
    if received != expected:
        raise DamagedFileError(
            f"{path} is damaged: its content has SHA-256 {received[:12]}..., expected {str(expected)[:12]}... ."
        )
    return content


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
