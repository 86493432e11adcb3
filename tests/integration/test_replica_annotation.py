"""Replicas annotate whole batches each. Runs itself in a process of its own: two logical CPU devices."""

import dataclasses
import hashlib
import json
import pathlib
import tempfile

import keras
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.annotate import annotate
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.sources.given_source import as_source, sharded_source
from keras_noisy_student.tasks.classification import Classification
from tests.integration.cluster import run_module
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, features

X = features(19)
POOLS = {
    "arrays": lambda: as_source({"a": X}, name="unlabeled"),
    "stream": lambda: as_source(tf.data.Dataset.from_tensor_slices({"a": X}).filter(lambda x: True), name="unlabeled"),
    "shards": lambda: sharded_source(
        lambda num_shards, shard: tf.data.Dataset.from_tensor_slices({"a": X}).shard(num_shards, shard),
        num_shards=3,
        name="unlabeled",
    ),
}


BATCHES = []
"""Pairs: the replica that annotated a batch, and its size."""


@dataclasses.dataclass(frozen=True)
class LoggedClassification(Classification):
    """Logs what each replica annotates."""

    def annotate(self, outputs):
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        tf.numpy_function(_log, [replica, tf.shape(outputs)[0]], [])
        return super().annotate(outputs)


def _log(replica, size):
    BATCHES.append((int(replica), int(size)))


def _teacher():
    inputs = {"a": keras.Input((NUM_FEATURES,), name="a")}
    outputs = keras.layers.BatchNormalization(synchronized=True)(inputs["a"])
    kernel = keras.initializers.RandomNormal(seed=1)
    return keras.Model(inputs, keras.layers.Dense(NUM_CLASSES, "softmax", kernel_initializer=kernel)(outputs))


def _annotate(kind, strategy):
    """Digests of the files, and the batches that each replica saw."""
    BATCHES.clear()
    with tempfile.TemporaryDirectory() as directory, strategy.scope():
        pool = POOLS[kind]()
        store = StoreWriter(directory, made_by={}, blocks_per_shard=2, num_parts=pool.num_parts)
        teacher = Teacher([_teacher()], LoggedClassification(NUM_CLASSES))
        annotate(teacher, pool, store=store, batch_size=3, verbose=False)
        files = sorted(pathlib.Path(directory).iterdir())
        digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return {"files": digests, "batches": sorted(BATCHES)}


def _main():
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = {
        "one": tf.distribute.get_strategy(),
        "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }
    print(json.dumps({name: {kind: _annotate(kind, of) for kind in POOLS} for name, of in strategies.items()}))


@pytest.fixture(scope="module")
def report():
    return run_module("tests.integration.test_replica_annotation")


@pytest.mark.parametrize("kind", POOLS)
def test_the_store_is_the_same_on_one_and_on_two_replicas(report, kind):
    assert report["two"][kind]["files"] == report["one"][kind]["files"]
    assert len(report["one"][kind]["files"]) > 6


@pytest.mark.parametrize(
    ("kind", "on_one", "on_each_of_two"),
    [
        ("arrays", [3, 3, 3, 3, 3, 3, 1], ([1, 3, 3, 3], [1, 3, 3, 3])),
        ("shards", [3, 3, 1, 3, 3, 3, 3], ([1, 3, 3, 3], [1, 3, 3, 3])),
    ],
)
def test_each_replica_annotates_whole_batches_and_repeats_the_last_one_where_it_has_none(
    report, kind, on_one, on_each_of_two
):
    assert sorted(report["one"][kind]["batches"]) == sorted([0, size] for size in on_one)
    sizes = [sorted(size for place, size in report["two"][kind]["batches"] if place == replica) for replica in (0, 1)]
    assert sizes == list(on_each_of_two)


if __name__ == "__main__":
    _main()
