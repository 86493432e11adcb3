"""Where the weights come from that a student begins with."""

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.students import FromTeacher
from tests.toy_data import NUM_CLASSES, features, labels

LABELED, POOL = (features(12), labels(12)), features(9, seed=1)


def build(round_index=0, *, units=4, activation="relu"):
    layers = [
        keras.layers.Dense(units, activation),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(NUM_CLASSES, "softmax"),
    ]
    return keras.Sequential([keras.Input((4,)), *layers])


class Remembers(kns.NoisyStudentTrainer):
    """Keeps the weights that every round begins and ends with."""

    def train(self, student, *arguments, **keywords):
        self.began = [*getattr(self, "began", []), student.network.get_weights()]
        logs = super().train(student, *arguments, **keywords)
        self.ended = [*getattr(self, "ended", []), student.network.get_weights()]
        return logs

    def promote(self, student, teacher, data, settings):
        """In such short runs no student needs to be any good."""
        return student


def run(student, *, directory=None, num_rounds=2, **arguments):
    pseudo_labeling = kns.PseudoLabeling(annotate="online")
    trainer = Remembers(
        student, kns.Classification(NUM_CLASSES), None, pseudo_labeling, directory=directory, **arguments
    )
    trainer.compile(keras.optimizers.Adam(0.05))
    trainer.fit_rounds(LABELED, POOL, num_rounds=num_rounds, batch_size=6, epochs=2, steps_per_epoch=5, verbose=0)
    return trainer


def is_same(weights, expected):
    return all(np.array_equal(one, two) for one, two in zip(weights, expected, strict=True))


@pytest.mark.parametrize("network", [build(), build], ids=["model", "function"])
def test_every_student_begins_with_the_weights_of_its_teacher(network):
    trainer = run(FromTeacher(network))
    assert is_same(trainer.began[1], trainer.ended[0])
    assert is_same(trainer.began[2], trainer.ended[1])
    assert not is_same(trainer.ended[2], trainer.began[2])
    assert is_same(trainer.began[0], run(network, num_rounds=0).began[0])


def test_rounds_may_differ_in_what_they_begin_with():
    network = build()
    trainer = run(lambda round_index: FromTeacher(network) if round_index == 2 else build())
    assert not is_same(trainer.began[1], trainer.ended[0])
    assert is_same(trainer.began[2], trainer.ended[1])


def test_a_function_that_returns_it_of_no_network_is_an_error():
    message = r"or a FromTeacher of either\. Received: int in round 0\."
    with pytest.raises(ValueError, match=message):
        run(lambda round_index: FromTeacher(lambda round_index: 5))


def test_without_it_every_student_begins_anew():
    trainer = run(build, num_rounds=1)
    assert not is_same(trainer.began[1], trainer.ended[0])


def test_the_first_student_of_a_given_teacher_begins_with_its_weights():
    teacher = run(build, num_rounds=0).model
    assert is_same(run(FromTeacher(build), num_rounds=1, teacher=teacher).began[0], teacher.get_weights())


def test_a_teacher_that_was_fine_tuned_at_another_resolution_has_the_same_weights():
    def student(round_index):
        layers = [keras.layers.Resizing(4, 1), keras.layers.Conv2D(4, (2, 1)), keras.layers.GlobalMaxPooling2D()]
        reshape = keras.layers.Reshape((4, 1, 1))
        return keras.Sequential([keras.Input((4,)), reshape, *layers, keras.layers.Dense(NUM_CLASSES, "softmax")])

    trainer = run(FromTeacher(student), num_rounds=1, fine_tuning=kns.FineTuning(resolution=(8, 1)))
    assert not is_same(trainer.began[1], trainer.ended[0])
    assert trainer.model.layers[1].height == 8


def test_a_function_that_reads_a_checkpoint_begins_with_its_weights(tmp_path):
    trained = run(build, num_rounds=0).model
    trained.save(tmp_path / "model.keras")
    trained.save_weights(tmp_path / "model.weights.h5")

    def read_weights(round_index):
        network = build()
        network.load_weights(tmp_path / "model.weights.h5")
        return network

    for student in (lambda round_index: keras.models.load_model(tmp_path / "model.keras"), read_weights):
        trainer = run(student, num_rounds=1, directory=str(tmp_path / student.__name__))
        assert is_same(trainer.began[0], trained.get_weights())
        assert is_same(trainer.began[1], trained.get_weights())


@pytest.mark.parametrize(
    ("network", "difference"),
    [
        (
            lambda round_index: build(units=4 + round_index),
            r"the weight .*kernel of shape \(4, 5\) in the student of round 1, and .*kernel of shape \(4, 4\) in its",
        ),
        (
            lambda round_index: keras.Sequential([build(), *[keras.layers.Dense(3, "softmax")] * round_index]),
            r"the weight .*kernel of shape \(3, 3\) in the student of round 1, and no more in its teacher",
        ),
    ],
)
def test_another_architecture_is_an_error_before_anything_is_trained(network, difference, monkeypatch):
    monkeypatch.setattr(kns.NoisyStudent, "fit", None)
    with pytest.raises(ValueError, match=rf"must have the same architecture\. Received: {difference}"):
        run(FromTeacher(network))


def test_a_run_that_began_from_the_teacher_does_not_go_on_without(tmp_path):
    run(FromTeacher(build), num_rounds=1, directory=str(tmp_path))
    with pytest.raises(ValueError, match=r"round_01.*\n  starts_from_teacher: True there, False now"):
        run(build, num_rounds=1, directory=str(tmp_path))


def test_a_first_teacher_that_was_made_with_it_goes_on_without(tmp_path):
    first = run(FromTeacher(build), num_rounds=0, directory=str(tmp_path))
    trainer = run(build, num_rounds=1, directory=str(tmp_path))
    assert len(trainer.began) == 1
    assert not is_same(trainer.began[0], first.ended[0])


@pytest.mark.parametrize("network", [None, 3, "model", [build()]])
def test_refuses_what_is_no_network(network):
    message = rf"`network` must be a keras\.Model, or a function of .* Received: {type(network).__name__}\."
    with pytest.raises(ValueError, match=message):
        FromTeacher(network)
