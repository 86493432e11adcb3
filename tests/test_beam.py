"""Apache Beam: the store of a run, byte for byte, and its selection, both of which the run then takes."""

import dataclasses
import importlib.util
import pathlib
import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds
from keras_noisy_student.pseudo_labels.select import select as select_in_process
from keras_noisy_student.pseudo_labels.stored_selection import read_selection
from keras_noisy_student.run_directory.run_lock import RunLock
from tests.damage import delete, flip
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, features, labels

pytest.importorskip("apache_beam")

from apache_beam.options.pipeline_options import PipelineOptions

import keras_noisy_student.beam
from keras_noisy_student.beam import annotation
from keras_noisy_student.pseudo_labels import cutoffs

Y = labels(48)
X = features(48) + 1.5 * np.eye(NUM_CLASSES, NUM_FEATURES, dtype="float32")[Y]
LABELED, POOL = (X[:15], Y[:15]), X[15:]
OPTIONS = PipelineOptions([], runner="FnApiRunner", direct_running_mode="in_memory", direct_num_workers=1)
SHARD_STOPS = (0, 13, 13, 33)


def pool_shard(num_shards, shard):
    return tf.data.Dataset.from_tensor_slices(POOL[SHARD_STOPS[shard] : SHARD_STOPS[shard + 1]])


POOLS = {"arrays": POOL, "shards": pool_shard, "several": [POOL[:7], pool_shard, POOL[:2]]}
PART_ROWS = {"arrays": [33], "shards": [13, 0, 20], "several": [7, 13, 0, 20, 2]}


class Trainer(kns.NoisyStudentTrainer):
    """The pool has 33 examples: in 5 shards of the store, or in 3 parts that have 2, 0 and 3 of them."""

    inference_batch_size = 4
    rows_per_shard = 8
    pool_shards = 3


def network(units=NUM_CLASSES):
    return keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(units, "softmax")])


def make_trainer(directory, **settings):
    trainer = Trainer(network(), kns.Classification(NUM_CLASSES), directory=str(directory), **settings)
    trainer.compile(keras.optimizers.Adam(0.1))
    return trainer


def fit(trainer, pool, num_rounds):
    return trainer.fit_rounds(LABELED, pool, num_rounds=num_rounds, batch_size=5, epochs=2, verbose=0)


def annotate(trainer, pool):
    return keras_noisy_student.beam.annotate(trainer, pool, options=OPTIONS)


def files(directory, round_index):
    store = pathlib.Path(directory) / f"round_{round_index:02d}" / "pseudo_labels"
    return {file.name: file.read_bytes() for file in store.iterdir()}


@pytest.fixture(scope="module", params=POOLS)
def whole(request, tmp_path_factory):
    """The kind of the pool, and a run of two rounds without Beam."""
    trainer = make_trainer(tmp_path_factory.mktemp("whole"))
    fit(trainer, POOLS[request.param], num_rounds=2)
    return request.param, trainer


def test_the_store_of_beam_is_that_of_the_run_byte_for_byte(whole, tmp_path, monkeypatch):
    kind, expected = whole
    trainer = make_trainer(tmp_path)
    for round_index in (1, 2):
        fit(trainer, POOLS[kind], num_rounds=round_index - 1)
        pseudo_labels = annotate(trainer, POOLS[kind])
        assert files(tmp_path, round_index) == files(expected.directory, round_index)
        assert pseudo_labels.part_rows == PART_ROWS[kind]
    assert not list(tmp_path.rglob("teacher.weights.h5"))
    assert not list(tmp_path.rglob("lock.json"))
    monkeypatch.setattr("keras_noisy_student.pseudo_labels.annotate.annotate_share", None)
    fit(trainer, POOLS[kind], num_rounds=2)
    for weights, expected_weights in zip(trainer.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected_weights)


def test_beam_writes_again_only_what_is_missing(whole, tmp_path):
    kind, expected = whole
    trainer = make_trainer(tmp_path)
    fit(trainer, POOLS[kind], num_rounds=0)
    annotate(trainer, POOLS[kind])
    store = tmp_path / "round_01" / "pseudo_labels"
    part = np.argmax(PART_ROWS[kind])
    flip(store / f"shard-{part:05d}-00001.columns.tfrecord")
    delete(store / "manifest.json")
    times = {file.name: file.stat().st_mtime_ns for file in store.iterdir()}
    with pytest.warns(UserWarning, match=r"is damaged.*Its shard of the pool is annotated again"):
        annotate(trainer, POOLS[kind])
    assert files(tmp_path, 1) == files(expected.directory, 1)
    written = {file.name for file in store.iterdir() if times.get(file.name) != file.stat().st_mtime_ns}
    shard = {f"shard-{part:05d}-00001.{suffix}" for suffix in ("columns.tfrecord", "targets.tfrecord", "json")}
    assert written - {f"part-{part:05d}.json"} == {*shard, "manifest.json"}


@pytest.mark.parametrize(
    ("kind", "num_shards"), [("arrays", [1, 1, 1, 1, 1]), ("shards", [0, 2, 3]), ("several", [0, 1, 1, 2, 3])]
)
def test_each_unit_of_beam_annotates_its_own_shards_alone(tmp_path, kind, num_shards, monkeypatch):
    trainer = make_trainer(tmp_path)
    fit(trainer, POOLS[kind], num_rounds=0)
    written = []

    def count_shards(*arguments, store, **settings):
        before = len(list(pathlib.Path(store.directory).glob("shard-*.json")))
        annotate_share(*arguments, store=store, **settings)
        written.append(len(list(pathlib.Path(store.directory).glob("shard-*.json"))) - before)

    annotate_share = annotation.annotate_share
    monkeypatch.setattr(annotation, "annotate_share", count_shards)
    annotate(trainer, POOLS[kind])
    assert sorted(written) == num_shards


def test_beam_does_not_annotate_a_finished_store(whole, monkeypatch):
    kind, trainer = whole
    before = files(trainer.directory, 2)
    finished = make_trainer(trainer.directory)
    fit(finished, POOLS[kind], num_rounds=1)
    monkeypatch.setattr("keras_noisy_student.beam.annotation.annotate_share", None)
    annotate(finished, POOLS[kind])
    assert files(trainer.directory, 2) == before


@pytest.mark.parametrize("max_sorted_rows", [1 << 20, 1])
def test_a_run_takes_the_selection_of_beam_which_equals_its_own(tmp_path, monkeypatch, max_sorted_rows):
    rules = kns.PseudoLabeling(confidence_threshold=0.4, examples_per_class=6)
    trainers = [make_trainer(tmp_path / name, pseudo_labeling=rules) for name in ("whole", "beam")]
    fit(trainers[0], POOL, num_rounds=1)
    fit(trainers[1], POOL, num_rounds=0)
    pseudo_labels = annotate(trainers[1], POOL)
    monkeypatch.setattr(cutoffs, "MAX_SORTED_ROWS", max_sorted_rows)
    selection = keras_noisy_student.beam.select(trainers[1], pseudo_labels, options=OPTIONS)
    expected = select_in_process(
        pseudo_labels.columns, rules, num_classes=NUM_CLASSES, seed=seeds.stream_key(0, "select", 1)
    )
    np.testing.assert_array_equal(selection.repeats, expected.repeats)
    np.testing.assert_array_equal(selection.class_counts, expected.class_counts)
    np.testing.assert_array_equal(selection.selected_class_counts, expected.selected_class_counts)
    assert selection.mean_confidence == expected.mean_confidence
    monkeypatch.setattr("keras_noisy_student.pseudo_label_steps.select", None)
    fit(trainers[1], POOL, num_rounds=1)
    for weights, expected_weights in zip(trainers[1].model.get_weights(), trainers[0].model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected_weights)
    flip(tmp_path / "beam" / "round_01" / "pseudo_labels" / "selection-00001.tfrecord")
    settings = trainers[1]._rounds[1]
    monkeypatch.setattr("keras_noisy_student.pseudo_label_steps.select", select_in_process)
    with pytest.warns(UserWarning, match="is damaged.*The selection stored in .* is made again"):
        again = trainers[1].select(pseudo_labels, settings)
    np.testing.assert_array_equal(again.repeats, expected.repeats)


def test_a_selection_of_beam_by_other_rules_is_not_taken(tmp_path):
    trainer = make_trainer(tmp_path)
    fit(trainer, POOL, num_rounds=0)
    pseudo_labels = annotate(trainer, POOL)
    keras_noisy_student.beam.select(trainer, pseudo_labels, options=OPTIONS)
    rules = trainer.next_selection_rules()
    assert read_selection(pseudo_labels, rules) is not None
    other = kns.PseudoLabeling(confidence_threshold=0.5)
    assert read_selection(pseudo_labels, dataclasses.replace(rules, pseudo_labeling=other)) is None
    assert read_selection(pseudo_labels, dataclasses.replace(rules, seed=1)) is None


def test_beam_says_that_the_threshold_keeps_nothing(tmp_path):
    trainer = make_trainer(tmp_path, pseudo_labeling=kns.PseudoLabeling(confidence_threshold=0.999999))
    fit(trainer, POOL, num_rounds=0)
    pseudo_labels = annotate(trainer, POOL)
    with pytest.raises(ValueError, match=r"No pseudo-label is more confident than confidence_threshold=0.999999"):
        keras_noisy_student.beam.select(trainer, pseudo_labels, options=OPTIONS)


def test_beam_annotates_with_a_teacher_that_was_given(tmp_path):
    teacher = network()
    teacher.set_weights([np.eye(NUM_FEATURES, NUM_CLASSES), np.zeros(NUM_CLASSES)])
    trainers = [make_trainer(tmp_path / name, teacher=teacher) for name in ("whole", "beam")]
    fit(trainers[0], POOL, num_rounds=1)
    fit(trainers[1], POOL, num_rounds=0)
    annotate(trainers[1], POOL)
    assert files(tmp_path / "beam", 1) == files(tmp_path / "whole", 1)


def test_beam_without_a_trained_teacher_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no trained model yet. Call `fit_rounds`"):
        annotate(make_trainer(tmp_path), POOL)


@pytest.mark.parametrize("kind", ["alone", "in a list"])
def test_beam_takes_no_data_set(tmp_path, kind):
    trainer = make_trainer(tmp_path)
    pool = tf.data.Dataset.from_tensor_slices(POOL)
    pool = pool if kind == "alone" else [POOL, pool]
    fit(trainer, pool, num_rounds=0)
    with pytest.raises(ValueError, match=r"must be a function .* or arrays. Received: a tf.data.Dataset, which cannot"):
        annotate(trainer, pool)


def test_beam_takes_no_other_examples(tmp_path):
    trainer = make_trainer(tmp_path)
    fit(trainer, POOL, num_rounds=0)
    with pytest.raises(ValueError, match="`unlabeled` must"):
        annotate(trainer, POOL[:, :2])


@pytest.mark.parametrize("choice", ["kept", "online"])
def test_beam_refuses_a_round_that_does_not_annotate_the_whole_pool(tmp_path, choice):
    trainer = make_trainer(
        tmp_path,
        pseudo_labeling=lambda round_index: kns.PseudoLabeling(annotate=choice if round_index == 2 else "stored"),
    )
    fit(trainer, POOL, num_rounds=1)
    with pytest.raises(
        ValueError, match=rf'Only a round with annotate="stored".*Received: annotate="{choice}" in round 2'
    ):
        annotate(trainer, POOL)


def test_beam_names_a_teacher_that_cannot_be_rebuilt(tmp_path):
    teacher = keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Lambda(lambda x: x[:, :NUM_CLASSES])])
    teacher.add(keras.layers.Dense(NUM_CLASSES, "softmax", kernel_initializer="identity"))
    trainer = make_trainer(tmp_path, teacher=teacher)
    fit(trainer, POOL, num_rounds=0)
    with pytest.raises(ValueError, match=r"must be a model that its config rebuilds.*Received: .*use no Lambda layer"):
        annotate(trainer, POOL)


def test_beam_does_not_write_where_another_process_does(tmp_path):
    trainer = make_trainer(tmp_path)
    fit(trainer, POOL, num_rounds=0)
    with RunLock(str(tmp_path)), pytest.raises(RuntimeError, match="is held by another process"):
        annotate(trainer, POOL)


def test_a_teacher_with_other_weights_on_a_machine_of_beam_is_an_error(tmp_path):
    trainer = make_trainer(tmp_path)
    fit(trainer, POOL, num_rounds=0)
    sent = annotation._SentNetwork.of(trainer.model, str(tmp_path / "teacher.weights.h5"))
    np.testing.assert_array_equal(sent.load().get_weights()[0], trainer.model.get_weights()[0])
    object.__setattr__(sent, "digest", "other")
    with pytest.raises(ValueError, match="must have the same weights on every machine"):
        sent.load()


def test_without_beam_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "keras_noisy_student.beam")
    with pytest.raises(ImportError, match=re.escape('`pip install "keras-noisy-student[beam]"`')):
        importlib.import_module("keras_noisy_student.beam")
