"""The run directory as every worker but the chief sees it: it reads what the chief wrote, and writes nothing."""

import contextlib
import posixpath
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.history import RoundRecord
from keras_noisy_student.run_directory.description import describe
from keras_noisy_student.run_directory.epoch_checkpoints import EpochCheckpoint
from keras_noisy_student.run_directory.run_directory import MAY_CHANGE, RunDirectory, round_name, without
from keras_noisy_student.storage.json_files import read_json


class NoLock(contextlib.nullcontext[None]):
    """Stands for the lock that the chief holds for all workers."""

    def check(self) -> None:
        """Nothing: the chief checks it."""


class FollowedRunDirectory(RunDirectory):
    """The run directory of a worker that is not the chief.

    Args:
        path: the same directory as that of the chief, which all workers must see.
    """

    lock: NoLock  # type: ignore[assignment]

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.lock = NoLock()

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Compares the settings with those that the chief claimed the directory for.

        Raises:
            ValueError: when they differ, or when there is no such directory here.
        """
        self._settings = self._same("run.json", describe(settings), ())

    def claim_round(self, index: int, settings: Mapping[str, Any]) -> None:
        """Does the same for the settings of one round."""
        self._same(posixpath.join(round_name(index), "settings.json"), describe(settings), MAY_CHANGE)

    def save_epoch(self, index: int, checkpoint: EpochCheckpoint, *, fine_tuned: str | None = None) -> None:
        """Leaves it to the chief."""

    def save_round(self, record: RoundRecord, network: keras.Model) -> None:
        """Leaves it to the chief."""

    def _same(self, file: str, expected: Any, may_change: tuple[str, ...]) -> Any:
        path = posixpath.join(self.path, file)
        if not tf.io.gfile.exists(path):
            raise ValueError(
                f"`directory` must be one that all workers see. Received: {self.path}, in which this worker does not "
                f"find {file}, although worker 0 has written it. Use a shared file system or an object store."
            )
        found = read_json(path)
        self._compare(file, without(found, may_change), without(expected, may_change), made_anew=self.path)
        return found
