"""`PseudoLabels`: a finished store, which is one annotated pool on disk. Rows stand in the order of the pool.

- `annotation.json`: what it was annotated by; written first.
- the shards: see `shard.py`.
- `part-00000.json`: how many shards a part of the pool has; written when the part was read to its end.
- `manifest.json`: all shards; written last, so that a store with one is finished.

Nothing that a file says is used as a path: names follow from the numbers of part and shard.
"""

import copy
import dataclasses
import itertools
import posixpath
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.column_blocks import ColumnBlocks
from keras_noisy_student.pseudo_labels.corrected_labels import CorrectedColumns, RowCorrection
from keras_noisy_student.pseudo_labels.shard import COLUMN_SPEC, Shard, read_blocks, shard_path
from keras_noisy_student.storage.checksums import DamagedFileError, check_file
from keras_noisy_student.storage.json_files import read_json
from keras_noisy_student.storage.typed_fields import from_json


class PseudoLabels:
    """A finished store: what the teacher said of every row of the pool.

    Args:
        directory: of the store.

    Attributes:
        columns: what selection reads, in blocks: arrays `(rows,)` with `fingerprint`, `score` and `class_id`.
        part_rows: rows of each part of the pool.
        correction: through which the rows are seen; `None` where they are as the teacher labelled them.

    Raises:
        DamagedFileError: when the manifest is missing or damaged.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        manifest = read_manifest(directory)
        self.part_rows = manifest.part_rows
        self._shards = [from_json(Shard, shard) for shard in manifest.shards]
        self.columns: Iterable[np.ndarray] = ColumnBlocks(self._paths("columns.tfrecord"))
        self.correction: RowCorrection | None = None

    def __len__(self) -> int:
        return sum(self.part_rows)

    def corrected(self, correction: RowCorrection) -> "PseudoLabels":
        """The same store with corrected columns. What `rows` returns stays raw: training corrects it itself."""
        corrected = copy.copy(self)
        corrected.correction = correction
        corrected.columns = CorrectedColumns(self.rows(), correction)
        return corrected

    def rows(self) -> tf.data.Dataset:
        """All rows in the order of the pool: blocks of columns and encoded targets, tensors `(rows, width)` by name."""
        files = (
            read_blocks(self._paths("columns.tfrecord"), COLUMN_SPEC),
            read_blocks(self._paths("targets.tfrecord"), self._shards[0].target_spec),
        )
        return tf.data.Dataset.zip(files).map(lambda columns, targets: columns | targets)

    @property
    def digest(self) -> str:
        """What tells it from another store: a hash of the checksums of what selection reads."""
        return sha256("".join(shard.columns for shard in self._shards).encode()).hexdigest()

    def shards(self) -> list[tuple[int, ColumnBlocks]]:
        """The columns of each shard, with the place of its first row in the pool."""
        ends = itertools.accumulate((shard.rows for shard in self._shards), initial=0)
        return [
            (first, ColumnBlocks([path])) for first, path in zip(ends, self._paths("columns.tfrecord"), strict=False)
        ]

    def check_columns(self) -> None:
        """Compares what selection reads with what was written, long after that.

        Raises:
            DamagedFileError: when a file is missing or damaged.
        """
        for shard, path in zip(self._shards, self._paths("columns.tfrecord"), strict=True):
            check_file(path, shard.columns)
        if self.correction is not None:
            for shard, path in zip(self._shards, self._paths("targets.tfrecord"), strict=True):
                check_file(path, shard.targets)

    def _paths(self, suffix: str) -> list[str]:
        return [shard_path(self.directory, shard.id, suffix) for shard in self._shards]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says.

    Args:
        part_rows: rows of each part.
        shards: what each shard says of itself, in the order of the pool.
    """

    part_rows: list[int]
    shards: list[dict[str, Any]]


def manifest_path(directory: str) -> str:
    """Where the manifest of a store is."""
    return posixpath.join(directory, "manifest.json")


def read_manifest(directory: str) -> Manifest:
    """Reads the manifest of a store.

    Raises:
        DamagedFileError: when it is missing or damaged.
    """
    path = manifest_path(directory)
    content = read_json(path)
    try:
        manifest = from_json(Manifest, content)
        for shard in manifest.shards:
            from_json(Shard, shard)
    except TypeError as error:
        raise DamagedFileError(f"{path} is damaged: it should list the shards of the pool.") from error
    return manifest
