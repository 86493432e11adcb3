"""One shard of the store: three files, of which the last says that it is finished.

- `shard-00000-00000.columns.tfrecord`: what selection reads: fingerprint of the example, score, predicted class.
- `shard-00000-00000.targets.tfrecord`: what training reads: the pseudo-labels (see `Task.encode`).
- `shard-00000-00000.json`: rows, dtypes and widths, and the checksums of the other two; written last.

Each record of the first two holds a block of rows: a batch that the teacher labelled. The first number is that of the
part of the pool, the second counts the shards of the part.
"""

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_noisy_student.storage.atomic_files import write_atomically
from keras_noisy_student.storage.checksums import DamagedFileError, check_file, checksum
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.typed_fields import from_json

COLUMNS = np.dtype([("fingerprint", np.int64), ("score", np.float32), ("class_id", np.int32)])

Block = Mapping[str, np.ndarray]
Spec = dict[str, list[Any]]
"""The dtype and the width of each array of a block."""

COLUMN_SPEC: Spec = {name: [COLUMNS[name].name, 1] for name in ("fingerprint", "score", "class_id")}


class ShardId(NamedTuple):
    """Which of the shards."""

    part: int
    """Of the pool."""
    number: int
    """In the part, from 0."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """What `shard-*.json` says.

    Args:
        part: see `ShardId`.
        number: see `ShardId`.
        origin: the checksum of what the annotation was made by, which tells the shards of another annotation.
        rows: number of rows.
        target_spec: dtype and width of each encoded target.
        columns: checksum of the columns file.
        targets: checksum of the targets file.
    """

    part: int
    number: int
    origin: str
    rows: int
    target_spec: Spec
    columns: str
    targets: str

    @property
    def id(self) -> ShardId:
        """Which of the shards it is."""
        return ShardId(self.part, self.number)


def shard_path(directory: str, shard: ShardId, suffix: str) -> str:
    """The path of a file of a shard: `suffix` is `"columns.tfrecord"`, `"targets.tfrecord"` or `"json"`."""
    return posixpath.join(directory, f"shard-{shard.part:05d}-{shard.number:05d}.{suffix}")


def shard_ids(names: Iterable[str]) -> list[ShardId]:
    """Of the shards whose description is among these names of files."""
    matches = (re.fullmatch(r"shard-(\d{5,})-(\d{5,})\.json", name) for name in names)
    return [ShardId(int(match[1]), int(match[2])) for match in matches if match]


def write_shard(directory: str, shard: ShardId, blocks: Sequence[tuple[np.ndarray, Block]], *, origin: str) -> Shard:
    """Writes the three files.

    Args:
        directory: of the store.
        shard: which one.
        blocks: pairs of columns, a structured array `(rows,)` of dtype `COLUMNS`, and encoded targets, arrays
            `(rows, width)` by name.
        origin: see `Shard`.
    """
    columns = ({name: block[name] for name in COLUMN_SPEC} for block, _ in blocks)
    written = Shard(
        part=shard.part,
        number=shard.number,
        origin=origin,
        rows=sum(len(block) for block, _ in blocks),
        target_spec={name: [array.dtype.name, array.shape[1]] for name, array in blocks[0][1].items()},
        columns=_write_blocks(shard_path(directory, shard, "columns.tfrecord"), columns),
        targets=_write_blocks(shard_path(directory, shard, "targets.tfrecord"), (targets for _, targets in blocks)),
    )
    write_json(shard_path(directory, shard, "json"), dataclasses.asdict(written))
    return written


def read_shard(directory: str, shard: ShardId) -> Shard:
    """Reads what a finished shard says of itself.

    Raises:
        DamagedFileError: when the file that says it is missing or damaged.
    """
    path = shard_path(directory, shard, "json")
    content = read_json(path)
    try:
        found = from_json(Shard, content)
    except TypeError as error:
        raise DamagedFileError(f"{path} is damaged: it should describe a shard. Received: {content!r}.") from error
    if found.id != shard:
        raise DamagedFileError(f"{path} is damaged: it should describe this shard. Received: that of {found.id}.")
    return found


def check_shard(directory: str, shard: Shard) -> None:
    """Compares the files of a shard with what it says of them.

    Raises:
        DamagedFileError: when one of them is missing or damaged.
    """
    check_file(shard_path(directory, shard.id, "columns.tfrecord"), shard.columns)
    check_file(shard_path(directory, shard.id, "targets.tfrecord"), shard.targets)


def read_blocks(paths: Sequence[str], spec: Spec) -> tf.data.Dataset:
    """The blocks of columns or targets files, in order: tensors `(rows, width)` by name."""
    return tf.data.TFRecordDataset(list(paths)).map(lambda record: _decode_block(record, spec))


def _write_blocks(path: str, blocks: Iterable[Block]) -> str:
    def write(temporary: str) -> None:
        with tf.io.TFRecordWriter(temporary) as writer:
            for block in blocks:
                writer.write(_encode_block(block))

    write_atomically(path, write)
    return checksum(path)


def _encode_block(block: Block) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[np.ascontiguousarray(array).tobytes()]))
        for name, array in block.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))


def _decode_block(record: tf.Tensor, spec: Spec) -> dict[str, tf.Tensor]:
    fields = tf.io.parse_single_example(record, {name: tf.io.FixedLenFeature([], tf.string) for name in spec})
    return {
        name: tf.reshape(tf.io.decode_raw(fields[name], tf.as_dtype(dtype)), [-1, width])
        for name, (dtype, width) in spec.items()
    }
