"""The weights of a finished student, as the `.weights.h5` file that Keras reads."""

import os
import tempfile

import h5py
import keras
import tensorflow as tf

from keras_noisy_student.storage.atomic_files import write_atomically
from keras_noisy_student.storage.checksums import DamagedFileError, check_file, checksum

_FILE = "student.weights.h5"


def save_weights(network: keras.Model, path: str) -> str:
    """Writes the weights of a network atomically; returns the checksum of the file."""
    with tempfile.TemporaryDirectory() as local:
        local_path = os.path.join(local, _FILE)
        network.save_weights(local_path)
        write_atomically(path, lambda temporary: tf.io.gfile.copy(local_path, temporary, overwrite=True))
        return checksum(local_path)


def load_weights(network: keras.Model, path: str, *, sha256: str) -> None:
    """Loads what `save_weights` wrote into a network of the same architecture.

    Raises:
        DamagedFileError: when the file is missing, was changed, or refers to other files.
    """
    check_file(path, sha256)
    with tempfile.TemporaryDirectory() as local:
        local_path = os.path.join(local, _FILE)
        tf.io.gfile.copy(path, local_path)
        try:
            with h5py.File(local_path) as file:
                _refuse_references(file, path)
            network.load_weights(local_path)
        except (OSError, KeyError) as error:
            raise DamagedFileError(f"{path} is damaged: it should hold weights ({error}).") from error


def _refuse_references(group: h5py.Group, path: str) -> None:
    """HDF5 files can refer to other files of the disk, which Keras before 3.13 reads without asking."""
    for name in group:
        link = group.get(name, getlink=True)
        is_outside = not isinstance(link, h5py.HardLink)
        if not is_outside and isinstance(group[name], h5py.Group):
            _refuse_references(group[name], path)
        elif is_outside or group[name].external or group[name].is_virtual:
            raise DamagedFileError(f"{path} is damaged: {group.name} refers to another place or file at {name!r}.")
