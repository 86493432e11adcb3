"""The run directory: what is on disk, and what a run that is started again finds there.

run.json                    the data and the settings that hold for all rounds
round_00/settings.json      the settings of the round
round_00/student.weights.h5 the weights it ended with (averaged, if the optimizer averages)
round_00/record.json        its record; written last, so that a round with one is finished
round_01/pseudo_labels/     the store of its teacher's annotations
"""

import dataclasses
import functools
import hashlib
import json
import os
import posixpath
import tempfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.history import RoundRecord
from keras_noisy_student.storage.atomic_files import write_atomically
from keras_noisy_student.storage.json_files import read_json, write_json

_WEIGHTS = "student.weights.h5"
_RECORD = "record.json"
_PASSING = ("name", "build_config", "build_input_shape")


class RunDirectory:
    """The files of one run.

    Args:
        path: a local directory, or any that `tf.io.gfile` writes to (`gs://`, `s3://`); made if absent.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        tf.io.gfile.makedirs(path)

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Marks the directory as that of a run with these settings, unless a finished round in it had others.

        Raises:
            ValueError: when one had.
        """
        rounds = tf.io.gfile.glob(posixpath.join(self.path, "round_*", _RECORD))
        _write_or_compare(self.path, "run.json", settings, is_kept=bool(rounds))

    def claim_round(self, index: int, settings: Mapping[str, Any]) -> None:
        """Does the same for the settings of one round."""
        tf.io.gfile.makedirs(self._round(index))
        file = posixpath.join(_round_name(index), "settings.json")
        _write_or_compare(self.path, file, settings, is_kept=self.is_finished(index))

    def pseudo_labels_path(self, index: int) -> str:
        """Where the store of a round goes."""
        return posixpath.join(self._round(index), "pseudo_labels")

    def is_finished(self, index: int) -> bool:
        """Whether the round was trained and recorded."""
        return bool(tf.io.gfile.exists(posixpath.join(self._round(index), _RECORD)))

    def save_round(self, record: RoundRecord, network: keras.Model) -> None:
        """Saves the weights, then the record that says the round is finished."""
        directory = self._round(record.round_index)
        tf.io.gfile.makedirs(directory)
        with tempfile.TemporaryDirectory() as local:
            local_path = os.path.join(local, _WEIGHTS)
            network.save_weights(local_path)
            write_atomically(
                posixpath.join(directory, _WEIGHTS), lambda path: tf.io.gfile.copy(local_path, path, overwrite=True)
            )
        write_json(posixpath.join(directory, _RECORD), dataclasses.asdict(record))

    def load_record(self, index: int) -> RoundRecord:
        """Reads the record of a finished round."""
        return RoundRecord(**read_json(posixpath.join(self._round(index), _RECORD)))

    def load_weights(self, index: int, network: keras.Model) -> None:
        """Loads the weights of a finished round into a network of the same architecture."""
        path = posixpath.join(self._round(index), _WEIGHTS)
        with tempfile.TemporaryDirectory() as local:
            local_path = os.path.join(local, _WEIGHTS)
            tf.io.gfile.copy(path, local_path)
            network.load_weights(local_path)

    def _round(self, index: int) -> str:
        return posixpath.join(self.path, _round_name(index))


def describe(value: Any) -> Any:
    """A setting as JSON: data classes by their fields, Keras objects by their config, functions by their name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, keras.Layer | keras.optimizers.Optimizer):
        return {"class": type(value).__name__, "config": describe(_config(value))}
    if isinstance(value, functools.partial):
        return describe({"function": value.func, "args": value.args, "keywords": value.keywords})
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    return getattr(value, "__qualname__", type(value).__qualname__)


def network_digest(network: keras.Model) -> str:
    """A hash of the layers of a network and the shapes of its weights: tells architectures apart."""
    layers = [describe(layer) for layer in network._flatten_layers() if not isinstance(layer, keras.Model)]
    shapes = [list(weight.shape) for weight in network.weights]
    return hashlib.sha256(json.dumps([layers, shapes], sort_keys=True).encode()).hexdigest()


def _config(value: keras.Layer | keras.optimizers.Optimizer) -> Any:
    """The config of a Keras object, or `None` for a layer that has none."""
    try:
        return _lasting(value.get_config())
    except NotImplementedError:
        return None


def _lasting(config: Any) -> Any:
    """A Keras config without what changes when a layer is made again (its name) or first called (its shapes)."""
    if isinstance(config, Mapping):
        return {key: _lasting(item) for key, item in config.items() if key not in _PASSING}
    if isinstance(config, list | tuple):
        return [_lasting(item) for item in config if not _is_input_layer(item)]
    return config


def _is_input_layer(config: Any) -> bool:
    """Whether this is the input that `keras.Sequential` adds to its config when it is first called."""
    return isinstance(config, Mapping) and config.get("class_name") == "InputLayer"


def _round_name(index: int) -> str:
    return f"round_{index:02d}"


def _write_or_compare(directory: str, file: str, settings: Mapping[str, Any], *, is_kept: bool) -> None:
    path = posixpath.join(directory, file)
    expected = describe(settings)
    if not is_kept or not tf.io.gfile.exists(path):
        write_json(path, expected)
        return
    differences = _differences(read_json(path), expected)
    if differences:
        raise ValueError(
            f"{directory} holds another run. Its {file} differs:\n" + "\n".join(differences) + "\nTo resolve this, do "
            "one of the following: pass another `directory`, pass the settings of that run, or delete the directory."
        )


def _differences(found: Any, expected: Any, name: str = "") -> list[str]:
    """A line for each innermost setting that differs."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        lines = []
        for key in sorted({*found, *expected}):
            path = f"{name}.{key}" if name else key
            lines += _differences(found.get(key, "absent"), expected.get(key, "absent"), path)
        return lines
    return [] if found == expected else [f"  {name}: {found} there, {expected} now"]
