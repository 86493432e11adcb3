"""Epoch checkpoints: what a round that is being trained goes on from.

- `epoch-00003.tfrecord`: raw weights, optimizer, averages, and arrays that belong to callbacks.
- `epoch-00003.json`: the logs of all epochs, the states of callbacks, the checksum of the other; written last.

The last two are kept: one that turns out to be damaged costs an epoch, not the round.
"""

import dataclasses
import posixpath
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_noisy_student.storage.atomic_files import make_directory, matching_names, remove_if_there
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.tensor_files import read_tensors, write_tensors
from keras_noisy_student.storage.typed_fields import from_json

_NUM_KEPT = 2
_ARRAY = "__array__"


@dataclasses.dataclass(frozen=True)
class EpochCheckpoint:
    """The state of training at the end of an epoch.

    Args:
        num_epochs: finished epochs.
        logs: a list for each log, with an entry for each epoch.
        has_stopped: whether a callback ended the training there.
        callbacks: the states of the callbacks, nested of JSON values and arrays.
        variables: the training state of the student.
    """

    num_epochs: int
    logs: dict[str, list[float]]
    has_stopped: bool
    callbacks: list[dict[str, Any]]
    variables: list[np.ndarray]


class EpochCheckpoints:
    """The checkpoints of one round.

    Args:
        directory: where they are kept; made when the first is saved.
        origin: the checksum of the settings, which tells the checkpoints of another run.
    """

    def __init__(self, directory: str, *, origin: str) -> None:
        self._directory = directory
        self._origin = origin

    def save(self, checkpoint: EpochCheckpoint) -> None:
        """Writes a checkpoint, then removes those that it supersedes."""
        make_directory(self._directory)
        arrays = list(checkpoint.variables)
        content = {
            "origin": self._origin,
            "num_epochs": checkpoint.num_epochs,
            "logs": checkpoint.logs,
            "has_stopped": checkpoint.has_stopped,
            "callbacks": _take_out_arrays(checkpoint.callbacks, arrays),
            "num_variables": len(checkpoint.variables),
        }
        content["tensors"] = write_tensors(self._path(checkpoint.num_epochs, "tfrecord"), arrays)
        write_json(self._path(checkpoint.num_epochs, "json"), content)
        superseded = [epoch for epoch in self._epochs() if epoch < checkpoint.num_epochs][_NUM_KEPT - 1 :]
        self._remove(superseded)

    def last(self) -> EpochCheckpoint | None:
        """The last checkpoint that is whole, with a warning for each damaged one after it; `None` without any."""
        for epoch in self._epochs():
            try:
                return self._read(epoch)
            except DamagedFileError as error:
                warnings.warn(f"{error} Training goes on from an earlier epoch, or from the first.", stacklevel=2)
        return None

    def exist(self) -> bool:
        """Whether there is any."""
        return bool(self._epochs())

    def remove(self) -> None:
        """Removes all, once the round is finished, also those of which only a part was written."""
        for name in matching_names(self._directory, r"epoch-.*"):
            remove_if_there(posixpath.join(self._directory, name))

    def _read(self, epoch: int) -> EpochCheckpoint:
        path = self._path(epoch, "json")
        content = read_json(path)
        try:
            if content["origin"] != self._origin or content["num_epochs"] != epoch:
                raise DamagedFileError(f"{path} belongs to another run or epoch.")
            _ = [(state["class"], state["state"], state["lost"]) for state in content["callbacks"]]
            arrays = read_tensors(self._path(epoch, "tfrecord"), sha256=content["tensors"])
            fields = {name: content[name] for name in ("num_epochs", "logs", "has_stopped", "callbacks")}
            fields["callbacks"] = _put_in_arrays(content["callbacks"], arrays)
            return from_json(EpochCheckpoint, {**fields, "variables": arrays[: content["num_variables"]]})
        except (TypeError, KeyError, IndexError) as error:
            raise DamagedFileError(f"{path} is damaged: it should describe a checkpoint.") from error

    def _remove(self, epochs: Sequence[int]) -> None:
        for epoch in epochs:
            remove_if_there(self._path(epoch, "json"))
            remove_if_there(self._path(epoch, "tfrecord"))

    def _epochs(self) -> list[int]:
        """Epochs of the finished checkpoints, the last one first."""
        names = matching_names(self._directory, r"epoch-\d{5}\.json")
        return sorted((int(name[6:11]) for name in names), reverse=True)

    def _path(self, epoch: int, suffix: str) -> str:
        return posixpath.join(self._directory, f"epoch-{epoch:05d}.{suffix}")


def _take_out_arrays(value: Any, arrays: list[np.ndarray]) -> Any:
    """Nested values as JSON; arrays are moved to the list, and leave their place in it."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _take_out_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_take_out_arrays(item, arrays) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        "The state of a callback must be nested of dicts, lists, numbers, strings, None and NumPy arrays. Received: "
        f"{type(value).__name__}. Convert it in `get_state`."
    )


def _put_in_arrays(value: Any, arrays: Sequence[np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _put_in_arrays(item, arrays) for key, item in value.items()}
    return [_put_in_arrays(item, arrays) for item in value] if isinstance(value, list) else value
