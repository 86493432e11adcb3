"""Annotation that several workers share, here one after the other: the store does not depend on their number."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.annotate import annotate, annotate_share
from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.pseudo_labels.teacher_pass import TeacherPass
from keras_noisy_student.sources.given_source import as_source, sharded_source
from keras_noisy_student.storage import atomic_files
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.workers import Worker
from tests.pseudo_labels.test_annotate import counted_teacher
from tests.toy_data import NUM_CLASSES, all_columns, features, network

BATCH_SIZE, BLOCKS_PER_SHARD = 2, 2
SHARD_SIZES = (7, 0, 8, 1, 5)
X = features(sum(SHARD_SIZES))
TASK = Classification(NUM_CLASSES)
KINDS = ["arrays", "stream", "shards"]


class Killed(BaseException):
    """Stands for a process that dies."""


def pool_shard(num_shards, shard):
    stops = np.cumsum(SHARD_SIZES)
    return tf.data.Dataset.from_tensor_slices(X[stops[shard] - SHARD_SIZES[shard] : stops[shard]])


def make_pool(kind):
    if kind == "shards":
        return sharded_source(pool_shard, num_shards=len(SHARD_SIZES), name="unlabeled")
    stream_of_unknown_length = tf.data.Dataset.from_tensor_slices(X).filter(lambda x: True)
    return as_source(X if kind == "arrays" else stream_of_unknown_length, name="unlabeled")


def make_store(directory, pool, worker=None):
    arguments = {"blocks_per_shard": BLOCKS_PER_SHARD, "num_parts": pool.num_parts, "worker": worker}
    return StoreWriter(str(directory), made_by={"teacher": "a"}, **arguments)


def annotate_alone(directory, kind):
    pool = make_pool(kind)
    annotate(Teacher([network()], TASK), pool, store=make_store(directory, pool), batch_size=BATCH_SIZE, verbose=False)
    return files(directory)


def work(directory, kind, worker, teacher=None):
    """What a worker does between the first and the last time that it waits for the others."""
    pool = make_pool(kind)
    store = make_store(directory, pool, worker)
    store.take_up()
    if not store.is_finished():
        teacher_pass = TeacherPass(Teacher([teacher or network()], TASK), pool.element_spec)
        annotate_share(teacher_pass, pool, store=store, batch_size=BATCH_SIZE, verbose=False)
    return store


def work_together(directory, kind, num_workers, order=None):
    make_store(directory, make_pool(kind)).claim()
    stores = {index: work(directory, kind, Worker(index, num_workers)) for index in order or range(num_workers)}
    for store in stores.values():
        store.finish()


def files(directory):
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.mark.parametrize("num_workers", [2, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_the_store_is_the_same_for_every_number_of_workers(tmp_path, kind, num_workers):
    expected = annotate_alone(tmp_path / "alone", kind)
    work_together(tmp_path / "together", kind, num_workers)
    assert files(tmp_path / "together") == expected
    pseudo_labels = PseudoLabels(str(tmp_path / "together"))
    np.testing.assert_array_equal(all_columns(pseudo_labels)["fingerprint"], fingerprint(X))
    assert pseudo_labels.part_rows == (list(SHARD_SIZES) if kind == "shards" else [len(X)])


@pytest.mark.parametrize("kind", ["stream", "shards"])
def test_it_does_not_matter_which_worker_is_fastest(tmp_path, kind):
    expected = annotate_alone(tmp_path / "alone", kind)
    for order in ((1, 2, 0), (2, 0, 1)):
        directory = tmp_path / str(order)
        work_together(directory, kind, 3, order)
        assert files(directory) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_workers_share_the_teachers_work(tmp_path, kind):
    make_store(tmp_path, make_pool(kind)).claim()
    seen_by_worker = []
    for index in range(3):
        teacher, seen = counted_teacher()
        work(tmp_path, kind, Worker(index, 3), teacher)
        seen_by_worker.append(list(seen))
    assert sorted(itertools.chain(*seen_by_worker)) == sorted(X[:, 0].tolist())
    assert max(map(len, seen_by_worker)) <= 12


def test_a_worker_opens_only_its_own_shards_of_the_pool(tmp_path):
    opened = []

    def shard(num_shards, shard):
        def open_shard():
            opened.append(shard)
            yield from X[shard : shard + 1]

        return tf.data.Dataset.from_generator(open_shard, output_signature=tf.TensorSpec(X.shape[1:]))

    pool = sharded_source(shard, num_shards=5, name="unlabeled")
    make_store(tmp_path, pool).claim()
    opened.clear()
    store = make_store(tmp_path, pool, Worker(1, 2))
    teacher_pass = TeacherPass(Teacher([network()], TASK), pool.element_spec)
    annotate_share(teacher_pass, pool, store=store, batch_size=BATCH_SIZE, verbose=False)
    assert opened == [1, 3]


@pytest.mark.parametrize("num_others", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_worker_left_is_done_by_any_number_of_others(tmp_path, kind, num_others, monkeypatch):
    expected = annotate_alone(tmp_path / "alone", kind)
    directory = tmp_path / "left"
    make_store(directory, make_pool(kind)).claim()

    written = []

    def die_at_the_second_shard(path, write):
        if path.endswith(".columns.tfrecord"):
            written.append(path)
            if len(written) == 2:
                raise Killed
        atomic_files.write_atomically(path, write)

    for index in range(3):
        written.clear()
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr("keras_noisy_student.pseudo_labels.shard.write_atomically", die_at_the_second_shard)
            work(directory, kind, Worker(index, 3))
    before = {file: file.stat().st_mtime_ns for file in directory.glob("shard-*")}
    assert len(before) == 3 * 3

    work_together(directory, kind, num_others)
    assert files(directory) == expected
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_the_chief_does_not_finish_what_another_worker_left_out(tmp_path):
    make_store(tmp_path, make_pool("arrays")).claim()
    store = work(tmp_path, "arrays", Worker(0, 2))
    with pytest.raises(ValueError, match=r"shard-00000-00001\.json is missing"):
        store.finish()
    assert not (tmp_path / "manifest.json").exists()


def test_only_the_chief_begins_a_store_anew_and_finishes_it(tmp_path):
    annotate_alone(tmp_path, "arrays")
    before = files(tmp_path)
    other = StoreWriter(str(tmp_path), made_by={"teacher": "b"}, blocks_per_shard=2, worker=Worker(1, 2))
    other.claim()
    other.finish()
    assert files(tmp_path) == before


def test_the_row_of_an_error_is_that_in_its_shard(tmp_path):
    def shard(num_shards, shard):
        return tf.data.Dataset.range(6).map(lambda row: tf.fill([4], np.nan if shard == 3 and row == 5 else 1.0))

    pool = sharded_source(shard, num_shards=4, name="unlabeled")
    with pytest.raises(ValueError, match=r"for 1 examples of the unlabelled pool, the first at row 5 of shard 3\."):
        annotate(
            Teacher([network()], TASK), pool, store=make_store(tmp_path, pool), batch_size=BATCH_SIZE, verbose=False
        )


def test_progress_counts_the_batches_of_all_shards(tmp_path, capsys):
    pool = make_pool("shards")
    annotate(Teacher([network()], TASK), pool, store=make_store(tmp_path, pool), batch_size=BATCH_SIZE, verbose=True)
    printed = capsys.readouterr().out
    assert "12/Unknown" in printed
    assert printed.count("\n") == 1
