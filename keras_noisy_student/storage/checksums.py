"""Checksums: what tells a file that was damaged, cut off or exchanged."""

import hashlib

import tensorflow as tf

_READ_BYTES = 1 << 24


class DamagedFileError(ValueError):
    """A file of the run directory is missing, or is not what was written."""


def checksum(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def check_file(path: str, expected: str) -> None:
    """Compares a file with the checksum of what was written.

    Raises:
        DamagedFileError: when it differs, or when there is no such file.
    """
    if not tf.io.gfile.exists(path):
        raise DamagedFileError(f"{path} is missing.")
    if (received := checksum(path)) != expected:
        raise DamagedFileError(
            f"{path} is damaged: expected SHA-256 {str(expected)[:12]}..., received {received[:12]}... ."
        )
