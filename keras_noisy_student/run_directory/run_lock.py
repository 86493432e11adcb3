"""One writer: the process that holds a run directory.

`tf.io.gfile` cannot create a file exclusively. Two processes that start in the same instant may therefore both take the
lock; the one whose entry was replaced finds out, and stops, before it writes its next checkpoint.
"""

import os
import posixpath
import socket
import uuid
from types import TracebackType
from typing import Any

import tensorflow as tf

from keras_noisy_student.storage.atomic_files import remove_if_there
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json

_held: set[str] = set()
"""Tokens of the locks that this process holds."""


class RunLock:
    """Holds a directory while the `with` block runs.

    A lock that a dead process of the same host has left is taken over.

    Args:
        directory: to hold.

    Raises:
        RuntimeError: when another process holds it.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = posixpath.join(directory, "lock.json")
        self._token = uuid.uuid4().hex

    def __enter__(self) -> "RunLock":
        holder = self._holder()
        if holder is not None and _may_live(holder):
            raise RuntimeError(f"{self._held_by(holder)} If that process is gone, delete {self._path}.")
        pid = os.getpid()
        write_json(
            self._path,
            {"host": socket.gethostname(), "pid": pid, "started": _start_time(pid), "token": self._token},
        )
        _held.add(self._token)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _held.discard(self._token)
        if self._is_mine():
            remove_if_there(self._path)

    def check(self) -> None:
        """Makes sure that the lock is still held.

        Raises:
            RuntimeError: when another process has taken it, or somebody has deleted it.
        """
        if not self._is_mine():
            holder = self._holder()
            lost = f"{self._path} was deleted." if holder is None else self._held_by(holder)
            raise RuntimeError(f"{lost} This process held the directory before, and stops without writing to it.")

    def _is_mine(self) -> bool:
        holder = self._holder()
        return holder is not None and holder["token"] == self._token

    def _holder(self) -> dict[str, Any] | None:
        if not tf.io.gfile.exists(self._path):
            return None
        try:
            holder = read_json(self._path)
            return {key: holder[key] for key in ("host", "pid", "started", "token")}
        except (DamagedFileError, TypeError, KeyError) as error:
            raise DamagedFileError(
                f"{self._path} is damaged: it should name the process that writes here. If none does, delete the file."
            ) from error

    def _held_by(self, holder: dict[str, Any]) -> str:
        return (
            f"{self._directory} is held by another process: host {holder['host']}, pid {holder['pid']}. Wait for it, "
            "stop it, or pass another `directory`."
        )


def _may_live(holder: dict[str, Any]) -> bool:
    """Whether a holder may still be running: on another host one cannot know."""
    if holder["host"] != socket.gethostname():
        return True
    pid = holder["pid"]
    if pid == os.getpid():
        return holder["token"] in _held
    if not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return bool(holder["started"] == _start_time(pid))


def _start_time(pid: int) -> str | None:
    """When a process started, where the system tells: its number may be that of an earlier one that died."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None
