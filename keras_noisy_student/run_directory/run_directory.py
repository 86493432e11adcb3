"""The run directory.

run.json                        the data and the settings that hold for all rounds
lock.json                       the process that is writing
round_00/settings.json          the settings of the round
round_00/checkpoints/           the last epochs, while the round is being trained
round_00/fine_tuning/           the same of its fine-tuning, if it has one
round_00/student.weights.h5     the weights it ended with (averaged, if the optimizer averages)
round_00/record.json            its record; written last, so that a round with one is finished
round_01/pseudo_labels/         the store of its teacher's annotations
round_01/corrections.json       what the corrections of its pseudo-labels were fitted to be
report.html                     what people look at
"""

import contextlib
import dataclasses
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.history import RoundRecord
from keras_noisy_student.run_directory.description import describe, differences, digest
from keras_noisy_student.run_directory.epoch_checkpoints import EpochCheckpoint, EpochCheckpoints
from keras_noisy_student.run_directory.run_lock import RunLock
from keras_noisy_student.run_directory.weights_files import load_weights, save_weights
from keras_noisy_student.storage.atomic_files import make_directory, matching_names
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.typed_fields import from_json

MAY_CHANGE = ("epochs",)
"""Settings that may change while a round is being trained."""
_MOST_LINES = 10
"""Differences that an error shows."""


class RunDirectory:
    """The files of one run.

    Args:
        path: a local directory, or any that `tf.io.gfile` writes to (`gs://`, `s3://`); made if absent.

    Raises:
        OSError: when the directory cannot be made.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = RunLock(path)
        self._settings: Any = None
        make_directory(path)

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Marks the directory as that of a run with these settings, unless what is in it was made with others.

        Raises:
            ValueError: when it was, or when a file that tells is damaged or missing.
        """
        self._settings = describe(settings)
        self._check_rounds_are_whole()
        if not self._has_results():
            write_json(self._path("run.json"), self._settings)
            return
        with self._how_to_mend(self.path, "start the run anew"):
            found = read_json(self._path("run.json"))
        self._compare("run.json", found, self._settings, made_anew=self.path)
        self._settings = found

    def claim_round(self, index: int, settings: Mapping[str, Any]) -> None:
        """Does the same for the settings of one round. `epochs` may change until the round is finished."""
        expected = describe(settings)
        file, directory = posixpath.join(round_name(index), "settings.json"), self._round(index)
        make_directory(directory)
        checkpoints = EpochCheckpoints(self._checkpoints(index), origin="")
        if self.is_finished(index) or checkpoints.exist():
            with self._how_to_mend(directory, f"make round {index} again"):
                found = read_json(self._path(file))
            may_change = () if self.is_finished(index) else MAY_CHANGE
            self._compare(file, without(found, may_change), without(expected, may_change), made_anew=directory)
            # What was found stays, to the letter: 3 and 3.0 are equal, but the origin of checkpoints is a checksum.
            expected = {**found, **{name: expected[name] for name in may_change}}
        if self.is_finished(index):
            # Left by a run that was killed between its record and their removal.
            self._remove_checkpoints(index)
        self.lock.check()
        write_json(self._path(file), expected)

    def checkpoints(self, index: int, *, fine_tuned: str | None = None) -> EpochCheckpoints:
        """The epoch checkpoints of a round that was claimed, or of its fine-tuning.

        Args:
            index: of the round.
            fine_tuned: the digest of the trained weights that are fine-tuned: others begin anew.
        """
        settings = without(read_json(self._path(round_name(index), "settings.json")), MAY_CHANGE)
        if fine_tuned is None:
            return EpochCheckpoints(self._checkpoints(index), origin=digest([self._settings, settings]))
        return EpochCheckpoints(self._fine_tuning(index), origin=digest([self._settings, settings, fine_tuned]))

    def save_epoch(self, index: int, checkpoint: EpochCheckpoint, *, fine_tuned: str | None = None) -> None:
        """Saves the checkpoint of an epoch, if this process still holds the directory; see `checkpoints`."""
        self.lock.check()
        self.checkpoints(index, fine_tuned=fine_tuned).save(checkpoint)

    def pseudo_labels_path(self, index: int) -> str:
        """Where the store of a round goes."""
        return posixpath.join(self._round(index), "pseudo_labels")

    def corrections_path(self, index: int) -> str:
        """Where the fitted corrections of a round go."""
        return posixpath.join(self._round(index), "corrections.json")

    @property
    def report_path(self) -> str:
        """Where the report goes."""
        return self._path("report.html")

    def settings(self, index: int | None = None) -> dict[str, Any]:
        """The settings that the run, or a round of it, was claimed for; none of a teacher that came trained."""
        path = self._path("run.json") if index is None else self._path(round_name(index), "settings.json")
        return dict(read_json(path)) if tf.io.gfile.exists(path) else {}

    def is_finished(self, index: int) -> bool:
        """Whether the round was trained and recorded."""
        return bool(tf.io.gfile.exists(posixpath.join(self._round(index), "record.json")))

    def save_round(self, record: RoundRecord, network: keras.Model) -> None:
        """Saves the weights, then the record that says the round is finished."""
        self.lock.check()
        directory = self._round(record.round_index)
        weights = save_weights(network, posixpath.join(directory, "student.weights.h5"))
        content = {"record": dataclasses.asdict(record), "weights": weights}
        write_json(posixpath.join(directory, "record.json"), content)
        self._remove_checkpoints(record.round_index)

    def load_round(self, index: int, network: keras.Model) -> RoundRecord:
        """Reads the record of a finished round, and its weights into a network of the same architecture.

        Raises:
            ValueError: when either is damaged or missing.
        """
        directory = self._round(index)
        path = posixpath.join(directory, "record.json")
        with self._how_to_mend(directory, f"make round {index} again"):
            content = read_json(path)
            try:
                record, weights = from_json(RoundRecord, content["record"]), content["weights"]
            except (TypeError, KeyError) as error:
                raise DamagedFileError(f"{path} is damaged: it should hold the record of a round.") from error
            load_weights(network, posixpath.join(directory, "student.weights.h5"), sha256=weights)
        return record

    def _compare(self, file: str, found: Any, expected: Any, *, made_anew: str) -> None:
        if lines := differences(found, expected):
            shown = lines[:_MOST_LINES] + [f"  and {len(lines) - _MOST_LINES} more"] * (len(lines) > _MOST_LINES)
            raise ValueError(
                f"{self.path} holds another run. Its {file} differs:\n" + "\n".join(shown) + "\nTo resolve this, do "
                "one of the following: pass another `directory`, pass the settings of that run, or delete "
                f"{made_anew}, which loses what was made there."
            )

    def _check_rounds_are_whole(self) -> None:
        begun = self._begun_rounds()
        for index in begun[:-1]:
            if not self.is_finished(index):
                directory = self._round(index)
                with self._how_to_mend(directory, f"make round {index} again"):
                    raise DamagedFileError(f"{directory}/record.json is missing, although round {begun[-1]} was begun.")

    def _begun_rounds(self) -> list[int]:
        rounds = [int(name.removeprefix("round_")) for name in matching_names(self.path, r"round_\d+")]
        return sorted(
            index for index in rounds if tf.io.gfile.exists(posixpath.join(self._round(index), "settings.json"))
        )

    def _has_results(self) -> bool:
        rounds = [self._path(name) for name in matching_names(self.path, r"round_\d+")]
        return any(
            matching_names(directory, r"record\.json")
            or matching_names(posixpath.join(directory, "checkpoints"), ".*")
            or matching_names(posixpath.join(directory, "pseudo_labels"), ".*")
            for directory in rounds
        )

    @contextlib.contextmanager
    def _how_to_mend(self, directory: str, what_for: str) -> Iterator[None]:
        try:
            yield
        except DamagedFileError as error:
            raise DamagedFileError(f"{error} Put it back as it was, or delete {directory} to {what_for}.") from error

    def _remove_checkpoints(self, index: int) -> None:
        for directory in (self._checkpoints(index), self._fine_tuning(index)):
            EpochCheckpoints(directory, origin="").remove()

    def _path(self, *parts: str) -> str:
        return posixpath.join(self.path, *parts)

    def _round(self, index: int) -> str:
        return self._path(round_name(index))

    def _checkpoints(self, index: int) -> str:
        return posixpath.join(self._round(index), "checkpoints")

    def _fine_tuning(self, index: int) -> str:
        return posixpath.join(self._round(index), "fine_tuning")


def round_name(index: int) -> str:
    """The directory of a round, in that of the run."""
    return f"round_{index:02d}"


def without(settings: Any, names: tuple[str, ...]) -> Any:
    """The settings that are not called by one of the names."""
    if not isinstance(settings, dict):
        return settings
    return {key: value for key, value in settings.items() if key not in names}
