"""Runs on several unlabelled pools, given as a list."""

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.run_data import check_run_data
from keras_noisy_student.run_directory.description import differences
from tests.test_corrections import copy_rounds
from tests.test_resume import KillAt, Small, start, start_and_die
from tests.test_trainer import LABELED, NUM_CLASSES, POOL, as_dataset, fit, make_trainer

TASK = kns.Classification(NUM_CLASSES)


def pools(images=POOL):
    """An array, a function and a data set of a size that is not known."""
    return [
        images[:50],
        lambda num_shards, shard: as_dataset(images[50:90]).shard(num_shards, shard),
        as_dataset(images[90:]).filter(lambda image: True),
    ]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(directory):
    """A run that was never stopped."""
    return start(directory, data=(LABELED, pools()))


def test_the_teacher_annotates_all_of_them_as_one_pool(whole, tmp_path):
    alone = start(tmp_path, steps_per_epoch=3)
    for name in ("num_annotated", "num_kept", "class_counts", "selected_class_counts"):
        assert whole["history"][name] == alone["history"][name]
    assert whole["history"]["mean_confidence"][1] == pytest.approx(alone["history"]["mean_confidence"][1])


def test_a_run_that_dies_goes_on_and_ends_the_same(whole, directory, tmp_path):
    copy_rounds(directory, tmp_path, 1)
    start_and_die(tmp_path, data=(LABELED, pools()), kills={1: [KillAt(1, 2)]})
    assert start(tmp_path, data=(LABELED, pools())) == whole


def test_other_sizes_are_another_run():
    descriptions = [
        check_run_data(LABELED, [POOL[:size], POOL[size:]], None, task=TASK, num_rounds=1).description()
        for size in (50, 60)
    ]
    assert differences(*descriptions) == [
        "  unlabeled_source: ConcatenatedSource of ArraySource (50), ArraySource (70) there, "
        "ConcatenatedSource of ArraySource (60), ArraySource (60) now"
    ]


def test_a_round_may_annotate_again_what_was_kept_of_them():
    trainer = make_trainer(
        trainer_class=Small,
        pseudo_labeling=lambda round_index: kns.PseudoLabeling(
            examples_per_class=20, annotate="stored" if round_index <= 1 else "kept"
        ),
    )
    history = fit(trainer, unlabeled=pools(), num_rounds=2)
    assert 0 < history[1].num_kept < len(POOL)
    assert history[2].num_annotated == history[1].num_kept


def test_an_online_teacher_labels_all_of_them():
    seen = []

    class Seeing(kns.NoisyStudentTrainer):
        def join(self, *arguments, **keywords):
            def see(rows):
                seen.extend(rows.numpy().tolist())

            def peek(*parts):
                if len(parts) == 2:
                    tf.py_function(see, [parts[1].row], [])
                return parts

            return super().join(*arguments, **keywords).map(peek)

    trainer = make_trainer(trainer_class=Seeing, pseudo_labeling=kns.PseudoLabeling(annotate="online"))
    fit(trainer, unlabeled=pools(), steps_per_epoch=12)
    np.testing.assert_array_equal(np.sort(seen[: len(POOL)]), np.arange(len(POOL)))
