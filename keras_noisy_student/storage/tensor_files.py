"""Tensor files: a list of arrays in one TFRecord file, each record a serialized `TensorProto`. Reading runs no code."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework.tensor_pb2 import TensorProto

from keras_noisy_student.storage.atomic_files import write_atomically
from keras_noisy_student.storage.checksums import DamagedFileError, check_file, checksum


def write_tensors(path: str, tensors: Iterable[np.ndarray]) -> str:
    """Writes arrays of any numerical dtype atomically; returns the checksum of the file."""

    def write(temporary: str) -> None:
        with tf.io.TFRecordWriter(temporary) as writer:
            for tensor in tensors:
                writer.write(tf.make_tensor_proto(tensor).SerializeToString())

    write_atomically(path, write)
    return checksum(path)


def read_tensors(path: str, *, sha256: str) -> list[np.ndarray]:
    """Reads what `write_tensors` wrote, to the last bit.

    Args:
        path: of the file.
        sha256: what `write_tensors` returned.

    Raises:
        DamagedFileError: when the file is missing or is another one.
    """
    check_file(path, sha256)
    try:
        return [
            tf.make_ndarray(TensorProto.FromString(record))
            for record in tf.data.TFRecordDataset(path).as_numpy_iterator()
        ]
    except (tf.errors.OpError, DecodeError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} is damaged: it should hold tensors ({error}).") from error
