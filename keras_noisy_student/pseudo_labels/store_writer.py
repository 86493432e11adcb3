"""`StoreWriter`: what one worker writes of a store, shard by shard, and takes up where it or another one was stopped.

A pool in one part is divided by shards: worker `i` of `n` writes every n-th. One of several parts is divided by parts.
What is finished is told by the files alone, so that any number of workers can go on.
"""

import dataclasses
import json
import posixpath
import warnings
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.shard import (
    Block,
    Shard,
    ShardId,
    check_shard,
    read_shard,
    shard_ids,
    shard_path,
    write_shard,
)
from keras_noisy_student.pseudo_labels.store import Manifest, manifest_path, read_manifest
from keras_noisy_student.storage.atomic_files import make_directory, matching_names, remove_if_there
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.typed_fields import from_json
from keras_noisy_student.workers import Worker


class StoreWriter:
    """Writes the share of one worker. All workers `claim`, then `take_up`, then write, then `finish`.

    Each of these begins when all workers have ended the one before.

    Args:
        directory: of the store; made if absent.
        made_by: what the labels depend on (the teacher, the batches), as JSON. A store that was made by something else
            is made anew.
        blocks_per_shard: blocks of rows in a shard; the last shard of a part may have fewer.
        num_parts: of the pool.
        worker: which of the workers writes; the only one by default.
        before_shard: called before a shard is written; it may raise.
    """

    def __init__(
        self,
        directory: str,
        *,
        made_by: Mapping[str, Any],
        blocks_per_shard: int,
        num_parts: int = 1,
        worker: Worker | None = None,
        before_shard: Callable[[], None] = lambda: None,
    ) -> None:
        self.directory = directory
        self._description = {**made_by, "blocks_per_shard": blocks_per_shard, "num_parts": num_parts}
        self._origin = sha256(json.dumps(self._description, sort_keys=True).encode()).hexdigest()
        self._blocks_per_shard = blocks_per_shard
        self._num_parts = num_parts
        self._worker = Worker() if worker is None else worker
        self._before_shard = before_shard
        self._shards: dict[ShardId, Shard] = {}
        self._part_lengths: dict[int, int] = {}
        self._blocks: list[tuple[np.ndarray, Block]] = []
        self._shard_of_blocks = ShardId(0, 0)

    def claim(self) -> None:
        """Has the chief begin the store, or what was made by something else anew."""
        if not self._worker.is_chief:
            return
        make_directory(self.directory)
        if not self._is_mine():
            for name in ["manifest.json", *matching_names(self.directory, r"(shard|part)-.*")]:
                remove_if_there(self._path(name))
            write_json(self._path("annotation.json"), self._description)
        elif self._is_manifest_there():
            try:
                read_manifest(self.directory)
            except DamagedFileError as error:
                warnings.warn(f"{error} It is written again.", stacklevel=2)
                remove_if_there(manifest_path(self.directory))

    def take_up(self) -> None:
        """Finds out what is there of this worker's share, and whether it is as it was written."""
        listed = self._listed()
        names = matching_names(self.directory, r"(shard|part)-.*\.json")
        for shard in sorted({*listed, *shard_ids(names)}):
            if not self._is_of_share(shard):
                continue
            try:
                self._shards[shard] = self._checked_shard(shard, listed)
            except DamagedFileError as error:
                warnings.warn(f"{error} Its shard of the pool is annotated again.", stacklevel=2)
        for part in range(self._num_parts):
            if _part_name(part) in names:
                self._take_up_part(part)

    def is_finished(self) -> bool:
        """Whether nothing is left for this worker to annotate."""
        return not self.parts_to_read()

    def parts_to_read(self) -> list[int]:
        """The parts of the pool of which something is missing in this worker's share."""
        return [part for part in range(self._num_parts) if not self._is_part_finished(part)]

    def is_missing(self, part: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
        """Whether this worker has to write a block, both int64 scalars: a graph."""
        number = block // self._blocks_per_shard
        finished = tf.constant(sorted(self._shards) or np.zeros([0, 2]), tf.int64)
        is_there = tf.reduce_any(tf.reduce_all(finished == tf.stack([part, number]), axis=1))
        return self._is_of_share(ShardId(part, number)) & ~is_there

    def write(self, part: int, block: int, columns: np.ndarray, targets: Block) -> None:
        """Adds a missing block, in order; the last one of a shard finishes it.

        Args:
            part: of the pool.
            block: its number in the part.
            columns: structured array `(rows,)` of dtype `COLUMNS`.
            targets: encoded targets, arrays `(rows, width)`.
        """
        self._shard_of_blocks = ShardId(part, block // self._blocks_per_shard)
        self._blocks.append((columns, targets))
        if len(self._blocks) == self._blocks_per_shard:
            self._close_shard()

    def end_part(self, part: int, num_blocks: int) -> None:
        """Writes what is left of a part that was read to its end.

        Raises:
            ValueError: when there are more blocks in the store than in the part.
        """
        if self._blocks:
            self._close_shard()
        num_shards = -(-num_blocks // self._blocks_per_shard)
        if any(shard.part == part and shard.number >= num_shards for shard in self._shards):
            raise ValueError(
                "The unlabelled pool must not shrink while it is annotated. Received: a pool that ends after "
                f"{num_blocks} batches{self._of_part(part)}, of which later ones were annotated. Use the pool that the "
                f"annotation began with, or delete {self.directory} to annotate anew."
            )
        self._part_lengths[part] = num_shards
        if part % self._worker.num_workers == self._worker.index:
            self._before_shard()
            write_json(self._path(_part_name(part)), dataclasses.asdict(_Part(self._origin, num_shards)))

    def finish(self) -> None:
        """Has the chief write the manifest.

        Raises:
            DamagedFileError: when what another worker should have written is missing.
        """
        if not self._worker.is_chief:
            return
        part_rows, shards = [], []
        for part in range(self._num_parts):
            of_part = [self._written(ShardId(part, number)) for number in range(self._read_part(part))]
            part_rows.append(sum(shard.rows for shard in of_part))
            shards += of_part
        manifest = Manifest(part_rows, [dataclasses.asdict(shard) for shard in shards])
        if not self._is_manifest_there() or read_manifest(self.directory) != manifest:
            self._before_shard()
            write_json(manifest_path(self.directory), dataclasses.asdict(manifest))

    def _is_of_share(self, shard: ShardId) -> Any:
        """Of numbers, or of tensors."""
        unit = shard.part if self._num_parts > 1 else shard.number
        return unit % self._worker.num_workers == self._worker.index

    def _is_part_finished(self, part: int) -> bool:
        if self._num_parts > 1 and not self._is_of_share(ShardId(part, 0)):
            return True
        if part not in self._part_lengths:
            return False
        shards = (ShardId(part, number) for number in range(self._part_lengths[part]))
        return all(shard in self._shards for shard in shards if self._is_of_share(shard))

    def _close_shard(self) -> None:
        self._before_shard()
        shard = self._shard_of_blocks
        self._shards[shard] = write_shard(self.directory, shard, self._blocks, origin=self._origin)
        self._blocks = []

    def _is_mine(self) -> bool:
        path = self._path("annotation.json")
        if not tf.io.gfile.exists(path):
            return False
        try:
            found = read_json(path)
        except DamagedFileError as error:
            warnings.warn(f"{error} The pool is annotated again.", stacklevel=3)
            return False
        if found != self._description and matching_names(self.directory, r"shard-.*"):
            warnings.warn(
                f"{self.directory} was annotated by {found}, now it is {self._description}. The pool is annotated "
                "again.",
                stacklevel=3,
            )
        return bool(found == self._description)

    def _listed(self) -> dict[ShardId, dict[str, Any]]:
        if not self._is_manifest_there():
            return {}
        return {ShardId(shard["part"], shard["number"]): shard for shard in read_manifest(self.directory).shards}

    def _is_manifest_there(self) -> bool:
        return bool(tf.io.gfile.exists(manifest_path(self.directory)))

    def _checked_shard(self, shard: ShardId, listed: Mapping[ShardId, Any]) -> Shard:
        found = read_shard(self.directory, shard)
        check_shard(self.directory, found)
        if found.origin != self._origin or listed.get(shard, found_as_listed := dataclasses.asdict(found)) != (
            found_as_listed
        ):
            path = shard_path(self.directory, shard, "json")
            raise DamagedFileError(f"{path} belongs to another annotation.")
        return found

    def _take_up_part(self, part: int) -> None:
        try:
            self._part_lengths[part] = self._read_part(part)
        except DamagedFileError as error:
            warnings.warn(f"{error} It is written again.", stacklevel=3)

    def _read_part(self, part: int) -> int:
        """The number of shards of a part."""
        path = self._path(_part_name(part))
        try:
            found = from_json(_Part, read_json(path))
        except TypeError as error:
            raise DamagedFileError(f"{path} is damaged: it should tell the shards of a part.") from error
        if found.origin != self._origin or found.num_shards < 0:
            raise DamagedFileError(f"{path} belongs to another annotation.")
        return found.num_shards

    def _written(self, shard: ShardId) -> Shard:
        return self._shards[shard] if self._is_of_share(shard) else read_shard(self.directory, shard)

    def _of_part(self, part: int) -> str:
        return f" in shard {part}" if self._num_parts > 1 else ""

    def _path(self, name: str) -> str:
        return posixpath.join(self.directory, name)


@dataclasses.dataclass(frozen=True)
class _Part:
    """What `part-*.json` says.

    Args:
        origin: as that of a shard.
        num_shards: of the part.
    """

    origin: str
    num_shards: int


def _part_name(part: int) -> str:
    return f"part-{part:05d}.json"
