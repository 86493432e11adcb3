"""Relabelling: `annotate="kept"` labels again, by a better teacher, only what the selection before kept."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.damage import delete, flip
from tests.recording_trainer import RecordingTrainer
from tests.test_resume import pseudo_labels
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, all_columns, features, labels

Y = labels(48)
X = features(48) + 1.5 * np.eye(NUM_CLASSES, NUM_FEATURES, dtype="float32")[Y]
LABELED, POOL = (X[:15], Y[:15]), X[15:]
POOLS = {
    "arrays": lambda: POOL,
    "stream": lambda: tf.data.Dataset.from_tensor_slices(POOL),
    "shards": lambda: lambda num_shards, shard: tf.data.Dataset.from_tensor_slices(POOL[shard * 11 : shard * 11 + 11]),
}
THRESHOLDS = [None, 0.45, 0.75, 0.0]


class Recording(RecordingTrainer):
    """The pool has 33 examples, in 3 shards if it has any."""

    pool_shards = 3


def make_trainer(directory, *, annotate=("stored", "kept", "kept")):
    trainer = Recording(
        lambda round_index: keras.Sequential(
            [keras.Input((NUM_FEATURES,)), keras.layers.Dense(NUM_CLASSES, "softmax")]
        ),
        kns.Classification(NUM_CLASSES),
        pseudo_labeling=lambda round_index: kns.PseudoLabeling(
            confidence_threshold=THRESHOLDS[max(1, round_index)],
            examples_per_class=6 if round_index == 1 else None,
            annotate=annotate[max(1, round_index) - 1],
        ),
        directory=str(directory),
    )
    trainer.compile(keras.optimizers.Adam(0.1))
    return trainer


def fit(trainer, pool, num_rounds=3):
    settings = {"batch_size": 5, "epochs": 1, "steps_per_epoch": 8, "verbose": 0}
    return trainer.fit_rounds(LABELED, pool, num_rounds=num_rounds, **settings)


@pytest.fixture(scope="module", params=POOLS)
def finished(request, tmp_path_factory):
    """The kind of the pool, and a trainer that has run three rounds."""
    trainer = make_trainer(tmp_path_factory.mktemp("whole"))
    trainer.history = fit(trainer, POOLS[request.param]())
    return request.param, trainer


def test_each_round_labels_again_what_the_one_before_kept(finished):
    _, trainer = finished
    rows = np.arange(len(POOL))
    for round_index in (1, 2, 3):
        stored, selection = trainer.selections[round_index]
        probabilities = trainer.teachers[round_index](POOL[rows]).numpy()
        columns = all_columns(stored)
        np.testing.assert_allclose(columns["score"], probabilities.max(axis=-1), rtol=1e-5)
        np.testing.assert_array_equal(columns["class_id"], probabilities.argmax(axis=-1))
        assert trainer.history[round_index].num_annotated == len(rows)
        if round_index > 1:
            is_confident = probabilities.max(axis=-1) > THRESHOLDS[round_index]
            np.testing.assert_array_equal(selection.repeats, is_confident)
        rows = rows[selection.repeats > 0]
    assert len(POOL) > trainer.history[2].num_annotated > trainer.history[3].num_annotated > 0


def test_a_student_learns_from_the_examples_that_were_labelled_again(finished):
    """The rows of the joint batches are those of the user's pool."""
    _, trainer = finished
    kept = np.arange(len(POOL))
    for round_index in (1, 2, 3):
        kept = kept[trainer.selections[round_index][1].repeats > 0]
    seen = [part for _, part in trainer.batches.take(20)]
    np.testing.assert_array_equal(np.unique(np.concatenate([part.row for part in seen])), kept)
    for part in seen:
        np.testing.assert_array_equal(part.x, POOL[part.row])
        np.testing.assert_allclose(part.y, trainer.teachers[3](part.x), atol=2e-3)


def test_a_run_that_is_started_again_ends_the_same(finished, tmp_path):
    kind, whole = finished
    if kind == "stream":
        pytest.skip("To save time: what is read again is the same as for shards.")
    fit(make_trainer(tmp_path), POOLS[kind](), num_rounds=2 if kind == "shards" else 1)
    again = make_trainer(tmp_path)
    fit(again, POOLS[kind]())
    for weight, expected in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert pseudo_labels(tmp_path) == pseudo_labels(pathlib.Path(whole.directory))


def test_an_annotation_of_other_kept_examples_is_made_anew(tmp_path):
    fit(make_trainer(tmp_path), POOL, num_rounds=1)

    class SelectsOthers(Recording):
        def select(self, pseudo_labels, settings):
            selection = super().select(pseudo_labels, settings)
            return dataclasses.replace(selection, repeats=np.roll(selection.repeats, 1))

        def train(self, *arguments, **keywords):
            raise KeyboardInterrupt

    trainer = make_trainer(tmp_path)
    trainer.__class__ = SelectsOthers
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, POOL, num_rounds=2)
    with pytest.warns(UserWarning, match=r"was annotated by \{.*'kept': .* The pool is annotated again\."):
        fit(make_trainer(tmp_path), POOL, num_rounds=2)


@pytest.mark.parametrize(("damage", "name"), [(delete, "manifest.json"), (flip, "shard-00000-00001.columns.tfrecord")])
def test_a_store_before_that_is_missing_or_damaged_is_named(tmp_path, damage, name):
    fit(make_trainer(tmp_path), POOL, num_rounds=1)
    damage(tmp_path / "round_01/pseudo_labels" / name)
    message = (
        rf'{name} is (missing|damaged).* With annotate="kept", round 2 needs it to tell what the selection of round 1 '
        r"kept\. Put it back as it was, or delete the directory of round 1 to make that round again\."
    )
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(tmp_path), POOL, num_rounds=2)


@pytest.mark.parametrize(
    ("annotate", "received"),
    [
        (("kept", "stored"), r'annotate="kept" in round 1, and in round 0 nothing is annotated\. .* round_index <= 1 '),
        (("online", "kept"), r'annotate="kept" in round 2, and in round 1 annotate="online", which selects nothing\.'),
    ],
)
def test_kept_where_nothing_was_selected_is_refused_before_anything_is_trained(tmp_path, annotate, received):
    trainer = kns.NoisyStudentTrainer(
        keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(NUM_CLASSES)]),
        kns.Classification(NUM_CLASSES),
        pseudo_labeling=lambda round_index: kns.PseudoLabeling(annotate=annotate[max(0, round_index - 1)]),
        directory=tmp_path,
    )
    trainer.compile()
    message = r'annotate="kept" annotates what the selection of the round before kept\. Received: ' + received
    with pytest.raises(ValueError, match=message):
        fit(trainer, POOL, num_rounds=2)
    assert list(tmp_path.iterdir()) == []
