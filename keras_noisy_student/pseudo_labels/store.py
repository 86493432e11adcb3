"""`PseudoLabels`: a finished store, which is one annotated pool on disk. Rows stand in the order of the pool.

- `annotation.json`: what it was annotated by; written first.
- the shards: see `shard.py`.
- `part-00000.json`: how many shards a part of the pool has; written when the part was read to its end.
- `manifest.json`: all shards; written last, so that a store with one is finished.

Nothing that a file says is used as a path: names follow from the numbers of part and shard.
"""

import dataclasses
import itertools
import posixpath
from hashlib import sha256
from typing import Any

import tensorflow as tf

from keras_noisy_student.pseudo_labels.column_blocks import ColumnBlocks
from keras_noisy_student.pseudo_labels.shard import COLUMN_SPEC, Shard, read_blocks, shard_path
from keras_noisy_student.storage.checksums import DamagedFileError, check_file
from keras_noisy_student.storage.json_files import read_json
from keras_noisy_student.storage.typed_fields import from_json


class PseudoLabels:
    """A finished store: what the teacher said of every row of the pool.

    Args:
        directory: of the store.

    Attributes:
        columns: what selection reads, a shard at a time.
        part_rows: rows of each part of the pool.

    Raises:
        DamagedFileError: when the manifest is missing or damaged.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        manifest = read_manifest(directory)
        self.part_rows = manifest.part_rows
        self._shards = [from_json(Shard, shard) for shard in manifest.shards]
        self.columns = ColumnBlocks(self._paths("columns.tfrecord"))

    def __len__(self) -> int:
        return sum(self.part_rows)

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
