"""The store: one annotated pool on disk, as shards. Rows stand in the order of the pool.

- `annotation.json`: what it was annotated by; written first.
- the shards: see `shard.py`.
- `manifest.json`: all shards; written last, so that a store with one is finished.

Nothing that a file says is used as a path: names follow from the index.
"""

import dataclasses
import json
import posixpath
import warnings
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.column_blocks import ColumnBlocks
from keras_noisy_student.pseudo_labels.shard import (
    COLUMN_SPEC,
    Block,
    Shard,
    read_blocks,
    read_shard,
    shard_path,
    write_shard,
)
from keras_noisy_student.storage.atomic_files import make_directory, matching_names, remove_if_there
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json

_ANNOTATION = "annotation.json"
_MANIFEST = "manifest.json"


class PseudoLabels:
    """A finished store: what the teacher said of every row of the pool.

    Args:
        directory: of the store.
        shards: all of its shards, whose files have been checked.

    Attributes:
        columns: what selection reads, a shard at a time.
    """

    def __init__(self, directory: str, shards: Sequence[Shard]) -> None:
        self.directory = directory
        self._shards = list(shards)
        self.columns = ColumnBlocks(self._paths("columns.tfrecord"))

    def __len__(self) -> int:
        return sum(shard.rows for shard in self._shards)

    def rows(self) -> tf.data.Dataset:
        """All rows in the order of the pool: blocks of columns and encoded targets, tensors `(rows, width)` by name."""
        files = (
            read_blocks(self._paths("columns.tfrecord"), COLUMN_SPEC),
            read_blocks(self._paths("targets.tfrecord"), self._shards[0].target_spec),
        )
        return tf.data.Dataset.zip(files).map(lambda columns, targets: columns | targets)

    def _paths(self, suffix: str) -> list[str]:
        return [shard_path(self.directory, index, suffix) for index in range(len(self._shards))]


class StoreWriter:
    """Writes a store shard by shard, and takes up one that was left unfinished or damaged.

    Args:
        directory: of the store; made if absent.
        made_by: what the labels depend on (the teacher, the batches), as JSON. A store that was made by something else
            is made anew.
        blocks_per_shard: blocks of rows in a shard; the last shard may have fewer.
        before_shard: called before a shard is written; it may raise.
    """

    def __init__(
        self,
        directory: str,
        *,
        made_by: Mapping[str, Any],
        blocks_per_shard: int,
        before_shard: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._before_shard = before_shard
        self._blocks_per_shard = blocks_per_shard
        description = {**made_by, "blocks_per_shard": blocks_per_shard}
        self._origin = sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
        self._shards: dict[int, Shard] = {}
        self._block_index = 0
        self._blocks: list[tuple[np.ndarray, Block]] = []
        make_directory(directory)
        if self._is_mine(description):
            self._shards = self._finished_shards()
        else:
            self._start_anew(description)

    def is_finished(self) -> bool:
        """Whether every shard is there: nothing needs to be annotated."""
        manifest = self._manifest()
        return manifest is not None and len(self._shards) == len(manifest)

    def first_missing_block(self) -> int:
        """The number of the first block that has to be written."""
        return self._first_missing_shard() * self._blocks_per_shard

    def rows_before_first_missing_block(self) -> int:
        """Rows of the shards before that block."""
        return sum(self._shards[index].rows for index in range(self._first_missing_shard()))

    def is_missing(self, block_index: int) -> bool:
        """Whether a block belongs to a shard that is not there yet."""
        return block_index // self._blocks_per_shard not in self._shards

    def write(self, block_index: int, columns: np.ndarray, targets: Block) -> None:
        """Adds a missing block, in order; the last one of a shard finishes it.

        Args:
            block_index: the number of the block in the pool.
            columns: structured array `(rows,)` of dtype `COLUMNS`.
            targets: encoded targets, arrays `(rows, width)`.
        """
        self._block_index = block_index
        self._blocks.append((columns, targets))
        if len(self._blocks) == self._blocks_per_shard:
            self._close_shard()

    def finish(self) -> PseudoLabels:
        """Writes what is left and the manifest, and opens the store for reading."""
        if self._blocks:
            self._close_shard()
        if self._first_missing_shard() < len(self._shards):
            raise ValueError(
                "The unlabelled pool must not shrink while it is annotated. Received: a pool that ends before row "
                f"{self.rows_before_first_missing_block()}, of which later rows were annotated. Use the pool that the "
                f"annotation began with, or delete {self._directory} to annotate anew."
            )
        shards = [self._shards[index] for index in range(len(self._shards))]
        if not self.is_finished():
            write_json(self._path(_MANIFEST), [dataclasses.asdict(shard) for shard in shards])
        return PseudoLabels(self._directory, shards)

    def _first_missing_shard(self) -> int:
        return next(index for index in range(len(self._shards) + 1) if index not in self._shards)

    def _close_shard(self) -> None:
        self._before_shard()
        index = self._block_index // self._blocks_per_shard
        self._shards[index] = write_shard(self._directory, index, self._blocks, origin=self._origin)
        self._blocks = []

    def _is_mine(self, description: Mapping[str, Any]) -> bool:
        path = self._path(_ANNOTATION)
        if not tf.io.gfile.exists(path):
            return False
        try:
            found = read_json(path)
        except DamagedFileError as error:
            warnings.warn(f"{error} The pool is annotated again.", stacklevel=2)
            return False
        if found != description and matching_names(self._directory, r"shard-.*"):
            warnings.warn(
                f"{self._directory} was annotated by {found}, now it is {description}. The pool is annotated again.",
                stacklevel=2,
            )
        return bool(found == description)

    def _start_anew(self, description: Mapping[str, Any]) -> None:
        for name in [_MANIFEST, *matching_names(self._directory, r"shard-.*")]:
            remove_if_there(self._path(name))
        write_json(self._path(_ANNOTATION), description)

    def _finished_shards(self) -> dict[int, Shard]:
        listed = self._manifest() or []
        with_json = [int(name[6:-5]) for name in matching_names(self._directory, r"shard-\d{5}\.json")]
        shards = {}
        for index in sorted({*range(len(listed)), *with_json}):
            try:
                shards[index] = self._checked_shard(index, listed)
            except DamagedFileError as error:
                warnings.warn(f"{error} Its shard of the pool is annotated again.", stacklevel=2)
        return shards

    def _checked_shard(self, index: int, listed: Sequence[Any]) -> Shard:
        shard = read_shard(self._directory, index)
        if shard.origin != self._origin or (index < len(listed) and dataclasses.asdict(shard) != listed[index]):
            path = shard_path(self._directory, index, "json")
            raise DamagedFileError(f"{path} belongs to another annotation.")
        return shard

    def _manifest(self) -> list[Any] | None:
        path = self._path(_MANIFEST)
        if not tf.io.gfile.exists(path):
            return None
        try:
            return list(read_json(path))
        except (DamagedFileError, TypeError) as error:
            warnings.warn(f"{error} It is written again.", stacklevel=2)
            tf.io.gfile.remove(path)
            return None

    def _path(self, name: str) -> str:
        return posixpath.join(self._directory, name)
