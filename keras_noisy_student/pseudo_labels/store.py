"""The store: one annotated pool on disk, as shards of TFRecord files and a manifest.

Rows stand in the order of the pool. Each shard is two files, and each of their records holds a block of rows:

- `columns-*.tfrecord`: what selection reads: fingerprint of the example, score, predicted class.
- `targets-*.tfrecord`: what training reads: the encoded targets (see `targets.py`).

`manifest.json` lists the shards with a checksum of each file, and the dtypes and widths of what their records hold.
"""

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.atomic_files import checksum, read_json, write_atomically, write_json

COLUMNS = np.dtype([("fingerprint", np.int64), ("score", np.float32), ("class_id", np.int32)])
ROWS_PER_SHARD = 65_536
_MANIFEST = "manifest.json"

Block = Mapping[str, np.ndarray]
Spec = dict[str, tuple[str, int]]
"""The dtype and the width of each array of a block."""

_COLUMN_SPEC: Spec = {name: (COLUMNS[name].name, 1) for name in ("fingerprint", "score", "class_id")}


class ShardWriter:
    """Writes annotated rows, in the order of the pool, into a directory.

    Args:
        directory: where the shards go; made if absent.
        rows_per_shard: a shard is closed by the block that reaches so many rows.
    """

    def __init__(self, directory: str, *, rows_per_shard: int = ROWS_PER_SHARD) -> None:
        self._directory = directory
        self._rows_per_shard = rows_per_shard
        self._blocks: list[tuple[np.ndarray, Block]] = []
        self._shards: list[dict[str, Any]] = []
        self._target_spec: Spec = {}
        tf.io.gfile.makedirs(directory)

    def write(self, columns: np.ndarray, targets: Block) -> None:
        """Appends a block of rows.

        Args:
            columns: structured array `(rows,)` of dtype `COLUMNS`.
            targets: encoded targets, arrays `(rows, width)`.
        """
        self._target_spec = {name: (array.dtype.name, array.shape[1]) for name, array in targets.items()}
        self._blocks.append((columns, targets))
        if sum(len(columns) for columns, _ in self._blocks) >= self._rows_per_shard:
            self._close_shard()

    def finish(self) -> "PseudoLabels":
        """Writes what is left and the manifest, and opens the store for reading."""
        if self._blocks:
            self._close_shard()
        manifest = {"target_spec": self._target_spec, "shards": self._shards}
        write_json(posixpath.join(self._directory, _MANIFEST), manifest)
        return PseudoLabels(self._directory)

    def _close_shard(self) -> None:
        columns = self._write_file("columns", ({name: c[name] for name in _COLUMN_SPEC} for c, _ in self._blocks))
        targets = self._write_file("targets", (targets for _, targets in self._blocks))
        rows = sum(len(columns) for columns, _ in self._blocks)
        self._shards.append({"rows": rows, "columns": columns, "targets": targets})
        self._blocks = []

    def _write_file(self, kind: str, blocks: Iterable[Block]) -> dict[str, str]:
        path = posixpath.join(self._directory, f"{kind}-{len(self._shards):05d}.tfrecord")

        def write(temporary: str) -> None:
            with tf.io.TFRecordWriter(temporary) as writer:
                for block in blocks:
                    writer.write(_encode_block(block))

        write_atomically(path, write)
        return {"file": posixpath.basename(path), "sha256": checksum(path)}


class PseudoLabels:
    """A finished store: what the teacher said of every row of the pool.

    Args:
        directory: a directory that `ShardWriter.finish` has completed.

    Attributes:
        columns: structured array `(rows,)` of dtype `COLUMNS`.

    Raises:
        ValueError: when the directory holds no finished store, or a file of it is missing or was changed.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        manifest_path = posixpath.join(directory, _MANIFEST)
        if not tf.io.gfile.exists(manifest_path):
            raise ValueError(f"{directory} holds no finished pseudo-labels: {_MANIFEST} is missing. Annotate again.")
        manifest = read_json(manifest_path)
        self._shards = manifest["shards"]
        self._target_spec: Spec = manifest["target_spec"]
        for shard in self._shards:
            for kind in ("columns", "targets"):
                _check_file(posixpath.join(directory, shard[kind]["file"]), shard[kind]["sha256"])
        self.columns = self._read_columns()

    def __len__(self) -> int:
        return len(self.columns)

    def rows(self) -> tf.data.Dataset:
        """All rows in the order of the pool: blocks of columns and encoded targets, tensors `(rows, width)` by name."""
        files = (self._blocks("columns", _COLUMN_SPEC), self._blocks("targets", self._target_spec))
        return tf.data.Dataset.zip(files).map(lambda columns, targets: columns | targets)

    def _read_columns(self) -> np.ndarray:
        blocks = list(self._blocks("columns", _COLUMN_SPEC).as_numpy_iterator())
        columns = np.empty(sum(shard["rows"] for shard in self._shards), COLUMNS)
        for name in _COLUMN_SPEC:
            columns[name] = np.concatenate([block[name][:, 0] for block in blocks])
        return columns

    def _blocks(self, kind: str, spec: Spec) -> tf.data.Dataset:
        paths = [posixpath.join(self.directory, shard[kind]["file"]) for shard in self._shards]
        return tf.data.TFRecordDataset(paths).map(lambda record: _decode_block(record, spec))


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


def _check_file(path: str, expected: str) -> None:
    if not tf.io.gfile.exists(path):
        raise ValueError(f"The shard {path} is missing. Put it back, or delete its directory to annotate again.")
    if (received := checksum(path)) != expected:
        raise ValueError(
            f"The shard {path} was changed since it was written: expected SHA-256 {expected[:12]}..., received "
            f"{received[:12]}... . Put the original back, or delete its directory to annotate again."
        )
