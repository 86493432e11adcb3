import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.storage.checksums import DamagedFileError, checksum
from keras_noisy_student.storage.tensor_files import read_tensors, write_tensors

TENSORS = [
    np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32"),
    np.float32([np.nan, np.inf, -0.0, 1e-45]),
    np.int64(-(2**62)),
    np.arange(5, dtype="uint32"),
    np.zeros((0, 3), "float16"),
    np.array([True, False]),
    np.arange(6, dtype="float32").astype(ml_dtypes.bfloat16),
]


@pytest.mark.parametrize("directory", ["{}", "ram://tensors"])
def test_tensors_are_read_to_the_last_bit(tmp_path, directory):
    path = directory.format(tmp_path) + "/file.tfrecord"
    tf.io.gfile.makedirs(directory.format(tmp_path))
    sha256 = write_tensors(path, TENSORS)
    for tensor, expected in zip(read_tensors(path, sha256=sha256), TENSORS, strict=True):
        assert tensor.dtype == expected.dtype
        assert tensor.shape == expected.shape
        assert tensor.tobytes() == expected.tobytes()


def test_no_tensors_make_an_empty_list(tmp_path):
    path = str(tmp_path / "file")
    assert read_tensors(path, sha256=write_tensors(path, [])) == []


def test_a_damaged_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "file"
    sha256 = write_tensors(str(path), TENSORS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=r"file is damaged: expected SHA-256"):
        read_tensors(str(path), sha256=sha256)


@pytest.mark.parametrize("content", [b"no records at all, but text", None])
def test_a_file_of_another_kind_with_the_right_checksum_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "file"
    if content is None:
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(b"\xff no tensor")
    else:
        path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"file is damaged: it should hold tensors"):
        read_tensors(str(path), sha256=checksum(str(path)))
