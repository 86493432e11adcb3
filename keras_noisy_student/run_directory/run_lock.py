"""One writer: the process that holds a run directory.

`tf.io.gfile` cannot create a file exclusively. Two processes that start in the same instant may therefore both take the
lock; the one whose entry was replaced finds out, and stops, before it writes its next shard or checkpoint.
"""

import dataclasses
import os
import posixpath
import socket
import uuid
from types import TracebackType

import tensorflow as tf

from keras_noisy_student.storage.atomic_files import remove_if_there
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.typed_fields import from_json

_held: set[str] = set()
"""Tokens of the locks that this process holds."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """What `lock.json` says.

    Args:
        host: name of the machine.
        pid: number of the process.
        started: when the process started, where the system tells: its number may have been that of another one.
        token: of the lock: one process may hold several.
    """

    host: str
    pid: int
    started: str | None
    token: str


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
        me = Holder(socket.gethostname(), pid, _start_time(pid), self._token)
        write_json(self._path, dataclasses.asdict(me))
        _held.add(self._token)
        self.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _held.discard(self._token)
        try:
            if self._is_mine():
                remove_if_there(self._path)
        except (OSError, DamagedFileError):
            # Why the block ended matters more than a lock that is left, which the next process takes over.
            if error is None:
                raise

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
        return holder is not None and holder.token == self._token

    def _holder(self) -> Holder | None:
        if not tf.io.gfile.exists(self._path):
            return None
        try:
            return from_json(Holder, read_json(self._path))
        except (DamagedFileError, TypeError) as error:
            raise DamagedFileError(
                f"{self._path} is damaged: it should name the process that writes here. If none does, delete the file."
            ) from error

    def _held_by(self, holder: Holder) -> str:
        return (
            f"{self._directory} is held by another process: host {holder.host}, pid {holder.pid}. Wait for it, stop "
            "it, or pass another `directory`."
        )


def _may_live(holder: Holder) -> bool:
    """Whether a holder may still be running: one cannot know of another host, or on a system without signal 0."""
    if holder.host != socket.gethostname():
        return True
    if holder.pid == os.getpid():
        return holder.token in _held
    if os.name != "posix":
        return True
    if holder.pid < 1:
        return False
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return holder.started == _start_time(holder.pid)


def _start_time(pid: int) -> str | None:
    """When a process started, where the system tells: its number may be that of an earlier one that died."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None
