import h5py
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.run_directory.weights_files import load_weights, save_weights
from keras_noisy_student.storage.checksums import DamagedFileError, checksum
from tests.toy_data import features, network


@pytest.mark.parametrize("directory", ["{}", "ram://weights"])
def test_weights_are_loaded_to_the_last_bit(tmp_path, directory):
    path = directory.format(tmp_path) + "/student.weights.h5"
    tf.io.gfile.makedirs(directory.format(tmp_path))
    trained, fresh = network(seed=1), network(seed=2)
    load_weights(fresh, path, sha256=save_weights(trained, path))
    np.testing.assert_array_equal(fresh(features(4)), trained(features(4)))


def test_the_file_is_one_that_keras_reads(tmp_path):
    path = str(tmp_path / "student.weights.h5")
    trained, fresh = network(seed=1), network(seed=2)
    save_weights(trained, path)
    fresh.load_weights(path)
    np.testing.assert_array_equal(fresh(features(4)), trained(features(4)))


def _external_link(file, other):
    file["layers/link"] = h5py.ExternalLink(str(other), "/x")


def _soft_link(file, other):
    file["layers/link"] = h5py.SoftLink("/layers")


def _external_data(file, other):
    file.create_dataset("layers/data", (4,), "uint8", external=[(str(other), 0, 4)])


def _virtual_data(file, other):
    layout = h5py.VirtualLayout(shape=(4,), dtype="uint8")
    layout[:] = h5py.VirtualSource(str(other), "x", shape=(4,))
    file.create_virtual_dataset("layers/data", layout)


@pytest.mark.parametrize("refer", [_external_link, _soft_link, _external_data, _virtual_data])
def test_a_file_that_refers_to_another_is_refused(tmp_path, refer):
    path, other = str(tmp_path / "student.weights.h5"), tmp_path / "secret"
    other.write_bytes(b"secret")
    save_weights(network(), path)
    with h5py.File(path, "a") as file:
        refer(file, other)
    with pytest.raises(
        DamagedFileError, match=r"weights\.h5 is damaged: /layers refers to another place or file at '(link|data)'"
    ):
        load_weights(network(), path, sha256=checksum(path))


def test_a_file_without_weights_is_found(tmp_path):
    path = tmp_path / "student.weights.h5"
    path.write_text("no HDF5")
    with pytest.raises(DamagedFileError, match=r"weights\.h5 is damaged: it should hold weights"):
        load_weights(network(), str(path), sha256=checksum(str(path)))
