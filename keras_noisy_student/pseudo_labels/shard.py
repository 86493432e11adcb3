"""One shard of the store: three files, of which the last says that it is finished.

- `shard-00000.columns.tfrecord`: what selection reads: fingerprint of the example, score, predicted class.
- `shard-00000.targets.tfrecord`: what training reads: the encoded targets (see `targets.py`).
- `shard-00000.json`: rows, dtypes and widths, and the checksums of the other two; written last.

Each record of the first two holds a block of rows: a batch that the teacher labelled.
"""

import dataclasses
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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


@dataclasses.dataclass(frozen=True)
class Shard:
    """What `shard-*.json` says.

    Args:
        origin: the checksum of what the annotation was made by, which tells the shards of another annotation.
        rows: number of rows.
        target_spec: dtype and width of each encoded target.
        columns: checksum of the columns file.
        targets: checksum of the targets file.
    """

    origin: str
    rows: int
    target_spec: Spec
    columns: str
    targets: str


def shard_path(directory: str, index: int, suffix: str) -> str:
    """The path of a file of a shard: `suffix` is `"columns.tfrecord"`, `"targets.tfrecord"` or `"json"`."""
    return posixpath.join(directory, f"shard-{index:05d}.{suffix}")


def write_shard(directory: str, index: int, blocks: Sequence[tuple[np.ndarray, Block]], *, origin: str) -> Shard:
    """Writes the three files.

    Args:
        directory: of the store.
        index: of the shard.
        blocks: pairs of columns, a structured array `(rows,)` of dtype `COLUMNS`, and encoded targets, arrays
            `(rows, width)` by name.
        origin: see `Shard`.
    """
    columns = ({name: block[name] for name in COLUMN_SPEC} for block, _ in blocks)
    shard = Shard(
        origin=origin,
        rows=sum(len(block) for block, _ in blocks),
        target_spec={name: [array.dtype.name, array.shape[1]] for name, array in blocks[0][1].items()},
        columns=_write_blocks(shard_path(directory, index, "columns.tfrecord"), columns),
        targets=_write_blocks(shard_path(directory, index, "targets.tfrecord"), (targets for _, targets in blocks)),
    )
    write_json(shard_path(directory, index, "json"), dataclasses.asdict(shard))
    return shard


def read_shard(directory: str, index: int) -> Shard:
    """Reads what a finished shard says of itself, and checks its files.

    Raises:
        DamagedFileError: when a file of it is missing or damaged.
    """
    path = shard_path(directory, index, "json")
    content = read_json(path)
    try:
        shard = from_json(Shard, content)
    except TypeError as error:
        raise DamagedFileError(f"{path} is damaged: it should describe a shard. Received: {content!r}.") from error
    check_file(shard_path(directory, index, "columns.tfrecord"), shard.columns)
    check_file(shard_path(directory, index, "targets.tfrecord"), shard.targets)
    return shard


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
