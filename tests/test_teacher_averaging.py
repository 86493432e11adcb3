"""Whole runs whose pseudo-labels are the mean of several teachers and views."""

import dataclasses
import gc
import pathlib
import weakref

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.storage.json_files import read_json
from tests.test_corrections import POOL, Recording, copy_rounds, fit, make_trainer
from tests.test_resume import pseudo_labels
from tests.toy_data import all_columns


def mirrored(x):
    return -x


AVERAGING = kns.TeacherAveraging(num_teachers=2, views=[tf.identity, mirrored])


class Remembering(Recording):
    """Remembers every student for as long as it lives."""

    def train(self, student, *arguments, **keywords):
        self.living = getattr(self, "living", weakref.WeakSet())
        self.living.add(student)
        return super().train(student, *arguments, **keywords)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    trainer = make_trainer(tmp_path_factory.mktemp("whole"), trainer_class=Remembering, averaging=AVERAGING)
    fit(trainer, num_rounds=3)
    return trainer


def mean_over(teachers):
    return np.mean([teacher(x) for teacher in teachers for x in (POOL, -POOL)], axis=0)


@pytest.mark.parametrize(("round_index", "of_rounds"), [(1, [1]), (2, [1, 2]), (3, [2, 3])])
def test_pseudo_labels_are_the_mean_of_the_last_teachers_and_the_views(finished, round_index, of_rounds):
    expected = mean_over([finished.teachers[index] for index in of_rounds])
    columns = all_columns(finished.selections[round_index][0])
    np.testing.assert_allclose(columns["score"], expected.max(axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(columns["class_id"], expected.argmax(axis=-1))


def test_a_student_learns_from_the_mean(finished):
    expected = mean_over([finished.teachers[2], finished.teachers[3]])
    for _, part in finished.batches.take(5):
        np.testing.assert_allclose(part.y, expected[part.row], atol=2e-3)


def test_the_store_tells_what_was_averaged(finished):
    annotation = read_json(f"{finished.directory}/round_02/pseudo_labels/annotation.json")
    before = read_json(f"{finished.directory}/round_01/pseudo_labels/annotation.json")
    assert annotation["averaged"] == {"earlier_teachers": [before["teacher"]], "views": ["identity", "mirrored"]}


def test_of_earlier_students_only_the_networks_are_kept(finished):
    gc.collect()
    assert set(finished.living) == {finished.student}


def test_a_run_that_is_started_again_averages_the_teachers_that_it_restored(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 3)
    again = make_trainer(tmp_path, averaging=AVERAGING)
    fit(again, num_rounds=3)
    assert pseudo_labels(tmp_path) == pseudo_labels(pathlib.Path(finished.directory))
    for weight, expected in zip(again.model.get_weights(), finished.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_online_the_mean_is_computed_in_the_step(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 1)
    teachers = []
    trainer = make_trainer(tmp_path, averaging=AVERAGING, annotate=("online", "online"))
    fit(trainer, num_rounds=1)
    teachers.append(trainer.given_teacher)
    fit(trainer, num_rounds=2)
    teachers.append(trainer.given_teacher)
    targets, _ = trainer.student._online_teacher(POOL)
    np.testing.assert_allclose(targets, mean_over(teachers), rtol=1e-5)


def test_a_finished_round_with_other_views_is_another_run(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 2)
    message = r"  pseudo_labeling\.averaging\.views: \['identity', 'mirrored'\] there, \['identity'\] now"
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(tmp_path, averaging=dataclasses.replace(AVERAGING, views=[tf.identity])))


def first_half(x):
    return x[: len(x) // 2]


def test_a_view_that_loses_examples_is_refused_before_anything_is_trained(tmp_path):
    message = r"must keep the batch size\. Received: first_half, which makes of 8 examples a batch of shape \(4, 4\)\."
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(tmp_path, averaging=kns.TeacherAveraging(views=[first_half])))
    assert list(tmp_path.iterdir()) == []


def test_a_view_that_the_teacher_cannot_take_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ValueError, match=r"must take batches of the labelled examples\. Received: .*\(8, 2\)"):
        fit(make_trainer(tmp_path, averaging=kns.TeacherAveraging(views=[lambda x: x[:, :2]])))
    assert list(tmp_path.iterdir()) == []


def test_several_teachers_cannot_annotate_beforehand(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 1)
    trainer = make_trainer(tmp_path, averaging=AVERAGING)
    fit(trainer, num_rounds=0)
    message = r"Only a round with one teacher and no views can be annotated beforehand\. .* in round 1\. Leave its"
    with pytest.raises(ValueError, match=message):
        trainer.next_store(POOL)
