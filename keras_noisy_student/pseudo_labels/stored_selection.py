"""A selection on disk, beside the store that it was made from: made on other machines, and taken by the run.

- `selection-00000.tfrecord`: how often each row of a shard is used.
- `selection.json`: what it was made by, and the rest of the `Selection`; written last.
"""

import dataclasses
import json
import posixpath
import warnings
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.labeling import Labeling
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.tensor_files import read_tensors, write_tensors
from keras_noisy_student.storage.typed_fields import from_json


@dataclasses.dataclass(frozen=True)
class SelectionRules:
    """What a selection is made by, beside the annotated pool; see `select`."""

    pseudo_labeling: Labeling
    num_classes: int
    seed: int

    def origin(self, pseudo_labels: PseudoLabels) -> str:
        """The checksum of all that the selection from a store depends on."""
        rules: list[Any] = [
            self.pseudo_labeling.threshold,
            self.pseudo_labeling.examples_per_class,
            self.num_classes,
            self.seed,
        ]
        if pseudo_labels.correction is not None:
            rules.append(pseudo_labels.correction.description())
        return sha256(json.dumps([pseudo_labels.digest, *rules], default=int).encode()).hexdigest()


def write_repeats(directory: str, shard: int, repeats: np.ndarray) -> str:
    """Writes the repeats of a shard of the store; returns the checksum."""
    return write_tensors(_repeats_path(directory, shard), [repeats])


def write_selection(directory: str, selection: Selection, *, origin: str, repeats: Sequence[str]) -> None:
    """Writes the rest of a selection, when the repeats of all shards are written; these are their checksums."""
    stored = _Stored(
        origin=origin,
        repeats=list(repeats),
        class_counts=selection.class_counts.tolist(),
        selected_class_counts=selection.selected_class_counts.tolist(),
        mean_confidence=selection.mean_confidence,
        num_refused=selection.num_refused,
    )
    write_json(_path(directory), dataclasses.asdict(stored))


def read_selection(pseudo_labels: PseudoLabels, rules: SelectionRules) -> Selection | None:
    """The selection that was stored with an annotated pool, or `None` where none was made by these rules."""
    directory = pseudo_labels.directory
    if not tf.io.gfile.exists(_path(directory)):
        return None
    try:
        stored = from_json(_Stored, read_json(_path(directory)))
        if stored.origin != rules.origin(pseudo_labels):
            return None
        shards = enumerate(stored.repeats)
        repeats = [read_tensors(_repeats_path(directory, shard), sha256=digest)[0] for shard, digest in shards]
    except (DamagedFileError, TypeError) as error:
        warnings.warn(f"{error} The selection stored in {directory} is made again.", stacklevel=2)
        return None
    return Selection(
        repeats=np.concatenate(repeats),
        class_counts=np.array(stored.class_counts, np.int64),
        selected_class_counts=np.array(stored.selected_class_counts, np.int64),
        mean_confidence=float(stored.mean_confidence),
        num_refused=stored.num_refused,
    )


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What `selection.json` says.

    Args:
        origin: see `SelectionRules`.
        repeats: checksums of the files, in the order of the shards.
        class_counts: see `Selection`.
        selected_class_counts: see `Selection`.
        mean_confidence: see `Selection`.
        num_refused: see `Selection`.
    """

    origin: str
    repeats: list[str]
    class_counts: list[int]
    selected_class_counts: list[int]
    mean_confidence: float
    num_refused: int


def _path(directory: str) -> str:
    return posixpath.join(directory, "selection.json")


def _repeats_path(directory: str, shard: int) -> str:
    return posixpath.join(directory, f"selection-{shard:05d}.tfrecord")
