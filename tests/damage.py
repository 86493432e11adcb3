"""What may happen to a file on disk."""

import pathlib


def flip(path):
    """Flips one bit in the middle."""
    content = bytearray(pathlib.Path(path).read_bytes())
    content[len(content) // 2] ^= 4
    pathlib.Path(path).write_bytes(content)


def truncate(path):
    """Cuts the last bytes off."""
    pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes()[:-9])


def delete(path):
    """Deletes it."""
    pathlib.Path(path).unlink()


DAMAGES = [flip, truncate, delete]
