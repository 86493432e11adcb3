"""Fine-tuning: the last step of a round, on clean labelled examples at another resolution."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student import pipeline
from keras_noisy_student.networks import at_resolution
from keras_noisy_student.noise import seeds
from keras_noisy_student.sources.given_source import as_source

LOW, HIGH = 4, 6


def make_images(num, seed):
    """8x8 images of three classes, told apart by how bright they are."""
    y = np.arange(num) % 3
    x = np.random.default_rng(seed).normal(50, 10, size=(num, 8, 8, 1)) + 70 * y[:, None, None, None]
    return x.clip(0, 255).astype("uint8"), y.astype("int32")


LABELED, TEST = make_images(24, 0), make_images(30, 1)
POOL = make_images(48, 2)[0]


def build(round_index=0, *, size=LOW, normalized=True):
    norm = [keras.layers.BatchNormalization(momentum=0.5, name="shallow_norm")] if normalized else []
    return keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.Rescaling(1 / 64, offset=-2),
            keras.layers.Resizing(size, size),
            keras.layers.Conv2D(4, 3, activation="leaky_relu", name="shallow"),
            *norm,
            keras.layers.Conv2D(6, 2, activation="leaky_relu", name="deep"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(3, "softmax", name="top"),
        ]
    )


def make_trainer(student=build, *, trainer_class=kns.NoisyStudentTrainer, **arguments):
    trainer = trainer_class(student, kns.Classification(num_classes=3), **arguments)
    trainer.compile(keras.optimizers.Adam(0.03), metrics=["accuracy"])
    return trainer


def fit(trainer, **arguments):
    settings = {"num_rounds": 0, "batch_size": 8, "epochs": 8, "steps_per_epoch": 5, "verbose": 0}
    return trainer.fit_rounds(LABELED, POOL, validation_data=TEST, **settings | arguments)


def resolution(network):
    (resizing,) = [layer for layer in network.layers if isinstance(layer, keras.layers.Resizing)]
    return resizing.height, resizing.width


def blacken(x, noise_seed):
    """Leaves nothing to learn from in the training."""
    return tf.zeros_like(x)


def make_blind_trainer(directory, **arguments):
    fine_tuning = kns.FineTuning(
        epochs=2, resolution=HIGH, optimizer=keras.optimizers.Adam(0.03), batch_size=6, steps_per_epoch=40
    )
    noise = kns.Noise(blacken, dropout_rate=0.2)
    return make_trainer(noise=noise, fine_tuning=fine_tuning, directory=str(directory), **arguments)


def fit_blind(trainer):
    return fit(trainer, num_rounds=1, epochs=1, steps_per_epoch=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two rounds that are fine-tuned, and which network annotated at what resolution."""
    seen = []

    class Spying(kns.NoisyStudentTrainer):
        def make_student(self, teacher, data, settings):
            student = super().make_student(teacher, data, settings)
            seen.append(("trained", resolution(student.network)))
            return student

        def annotate(self, teacher, data, settings):
            seen.append(("annotated", resolution(teacher.network)))
            return super().annotate(teacher, data, settings)

    trainer = make_blind_trainer(tmp_path_factory.mktemp("run"), trainer_class=Spying)
    return trainer, fit_blind(trainer), seen


def test_the_student_is_trained_on_clean_examples_at_the_resolution_of_the_fine_tuning(finished):
    trainer, history, _ = finished
    assert resolution(trainer.model) == (HIGH, HIGH)
    for record in history:
        assert record.epochs["val_accuracy"][-1] < 0.5
        assert record.epochs["fine_tune_val_accuracy"][-1] > 0.9


def test_rounds_train_at_the_low_resolution_and_teachers_annotate_at_the_high_one(finished):
    _, _, seen = finished
    assert seen == [("trained", (LOW, LOW)), ("trained", (LOW, LOW)), ("annotated", (HIGH, HIGH))]


def test_the_record_holds_the_logs_of_every_epoch_and_the_validation_of_the_fine_tuned_student(finished):
    trainer, history, _ = finished
    epochs = history[1].epochs
    assert {"fine_tune_loss", "fine_tune_labeled_loss", "fine_tune_accuracy", "fine_tune_val_loss"} <= set(epochs)
    assert "fine_tune_pseudo_labeled_loss" not in epochs
    assert (len(epochs["loss"]), len(epochs["fine_tune_loss"])) == (1, 2)
    evaluated = trainer.evaluate(TEST, return_dict=True, verbose=0)
    assert history[1].metrics["val_loss"] == pytest.approx(evaluated["loss"])
    assert history[1].metrics["fine_tune_loss"] == epochs["fine_tune_loss"][-1]


def test_the_fine_tuned_student_is_saved_and_exported(finished, tmp_path):
    trainer, *_ = finished
    expected = trainer.predict(TEST[0], verbose=0)
    trainer.save(tmp_path / "model.keras")
    saved = keras.models.load_model(tmp_path / "model.keras")
    assert resolution(saved) == (HIGH, HIGH)
    np.testing.assert_allclose(saved.predict(TEST[0], verbose=0), expected, rtol=1e-5)
    trainer.export(str(tmp_path / "served"), verify=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.serve(tf.constant(TEST[0]))["probabilities"], expected, rtol=1e-4, atol=1e-6)


def test_a_finished_round_is_restored_with_its_fine_tuned_student(finished):
    trainer, history, _ = finished
    again = make_blind_trainer(trainer.directory)
    assert fit_blind(again).to_dict() == history.to_dict()
    assert resolution(again.model) == (HIGH, HIGH)
    for weight, expected in zip(again.model.weights, trainer.model.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.fixture(scope="module")
def teacher():
    """A run of a first teacher alone, at the high resolution."""
    trainer = make_trainer(lambda round_index: build(size=HIGH))
    fit(trainer, epochs=3)
    return trainer


@pytest.mark.parametrize("annotate", ["stored", "online"])
def test_a_teacher_and_its_student_may_differ_in_resolution(teacher, annotate):
    """The student hears what the teacher says at the resolution of the teacher."""
    labels = teacher.predict(POOL, verbose=0)
    assert np.abs(at_resolution(teacher.model, (LOW, LOW)).predict(POOL, verbose=0) - labels).max() > 0.01
    heard = []

    class Listening(kns.NoisyStudent):
        def train_step(self, data):
            _, unlabeled = data
            targets = unlabeled.y if unlabeled.has("y") else self._with_labels(unlabeled).y
            tf.py_function(lambda *told: heard.append([each.numpy() for each in told]), [unlabeled.row, targets], [])
            return super().train_step(data)

    trainer = make_trainer(pseudo_labeling=kns.PseudoLabeling(annotate=annotate), teacher=teacher.model)
    trainer.student_class = Listening
    fit(trainer, num_rounds=1, epochs=1)
    assert resolution(trainer.model) == (LOW, LOW)
    assert len(heard) == 5
    for rows, targets in heard:
        np.testing.assert_allclose(targets, labels[rows], atol=2e-3)


class StopsAtFineTuning(kns.NoisyStudentTrainer):
    """Remembers the trained weights."""

    def fine_tune(self, student, data, settings):
        self.trained = student.network.get_weights()
        return super().fine_tune(student, data, settings)


@pytest.mark.parametrize(("size", "train_from"), [(None, "deep"), ((6, 5), None), ((6, 5), "deep")])
def test_the_steps_are_those_of_plain_gradient_descent(size, train_from):
    def student(round_index):
        network = build(normalized=False)
        network.layers[-2].rate = 0
        return network

    trainer = make_trainer(
        student,
        trainer_class=StopsAtFineTuning,
        seed=3,
        fine_tuning=kns.FineTuning(2, size, train_from, keras.optimizers.SGD(0.1), batch_size=6, steps_per_epoch=2),
    )
    fit(trainer)

    network = student(0)
    if size is not None:
        network.layers[1].height, network.layers[1].width = size
    network.set_weights(trainer.trained)
    weights = [w for w in network.trainable_weights if train_from is None or "shallow" not in w.path]
    key = seeds.stream_key(3, "fine_tuning", 0)
    for batch in pipeline.shuffled_examples(as_source(LABELED, name="labeled"), 6, key=key).take(4):
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(batch.y, network(batch.x, training=True))
            loss = tf.reduce_mean(losses)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(0.1 * gradient)

    for weight, expected in zip(trainer.model.weights, network.weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6, err_msg=weight.path)


@pytest.fixture(scope="module")
def averaged():
    """A run that is fine-tuned from a layer on, by an optimizer that averages."""
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    fine_tuning = kns.FineTuning(resolution=HIGH, optimizer=optimizer, train_from="deep")
    trainer = make_trainer(trainer_class=StopsAtFineTuning, fine_tuning=fine_tuning)
    trainer.history = fit(trainer)
    return trainer


def test_shallow_layers_stay_as_they_were_and_can_be_trained_again_later(averaged):
    trainer = averaged
    for weight, before in zip(trainer.model.weights, trainer.trained, strict=True):
        assert np.array_equal(weight, before) == ("shallow" in weight.path), weight.path
    assert all(layer.trainable for layer in trainer.model.layers)


def test_averaged_weights_are_what_fine_tuning_ends_with(averaged):
    trainer, history = averaged, averaged.history
    assert history[0].epochs["fine_tune_val_loss"][-1] == pytest.approx(history[0].metrics["val_loss"], rel=1e-5)
    averages = trainer.teacher.optimizer._model_variables_moving_average
    for weight, average in zip(trainer.teacher.optimizer._trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(weight, average)


def test_it_may_differ_by_round_and_is_told(capsys):
    trainer = make_trainer(fine_tuning=lambda round_index: kns.FineTuning(resolution=(6, 5)) if round_index else None)
    history = fit(trainer, num_rounds=1, verbose=2)
    assert ["fine_tune_loss" in record.epochs for record in history] == [False, True]
    told = capsys.readouterr().out
    assert "Round 1: fine-tuning the student at 6x5\n" in told
    assert f"Round 1: fine-tuned: accuracy {history[1].metrics['fine_tune_accuracy']:.4f}, labeled_accuracy " in told
    assert "Round 0: fine-tuning" not in told


def test_a_step_that_is_not_finite_names_its_examples():
    trainer = make_trainer(fine_tuning=kns.FineTuning(optimizer=keras.optimizers.SGD(1e30)))
    with pytest.raises(ValueError, match=r"must be finite\. .*Its examples are the rows \[.*\] of the labelled data"):
        fit(trainer)


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


def start(directory, **arguments):
    """Starts a run that averages and drops, or goes on with it; returns all that has to be the same in the end."""
    settings = {"epochs": 3, "resolution": HIGH, "train_from": "deep"} | arguments.pop("fine_tuning", {})
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.8)
    trainer = make_trainer(directory=str(directory), fine_tuning=kns.FineTuning(optimizer=optimizer, **settings))
    trainer.compile(keras.optimizers.Adam(0.03, use_ema=True, ema_momentum=0.8), metrics=["accuracy"])
    history = fit(trainer, **{"num_rounds": 1, "epochs": 4} | arguments)
    weights = [weight.tobytes() for weight in trainer.model.get_weights()]
    return weights, [record.metrics for record in history], [record.epochs for record in history]


def die_at(monkeypatch, directory, file, **arguments):
    """Has a run die when a file has just been written."""
    rename_for_real = tf.io.gfile.rename

    def rename(source, target, overwrite):
        rename_for_real(source, target, overwrite=overwrite)
        if target.endswith(file):
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(tf.io.gfile, "rename", rename)
        start(directory, **arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a run ends with that was never stopped."""
    return start(tmp_path_factory.mktemp("whole"))


def test_a_run_that_dies_in_fine_tuning_goes_on_at_its_last_finished_epoch(tmp_path, whole, monkeypatch):
    for file in (
        "round_00/checkpoints/epoch-00004.json",
        "round_00/fine_tuning/epoch-00001.json",
        "round_00/fine_tuning/epoch-00003.json",
        "round_01/fine_tuning/epoch-00002.tfrecord",
        "round_01/student.weights.h5",
    ):
        die_at(monkeypatch, tmp_path, file)
    assert start(tmp_path) == whole
    assert not list(tmp_path.glob("round_*/*/epoch-*"))


@pytest.fixture(scope="module")
def dead(tmp_path_factory):
    """The directory of a run that died in the fine-tuning of its first teacher."""
    directory = tmp_path_factory.mktemp("dead")
    with pytest.MonkeyPatch.context() as monkeypatch:
        die_at(monkeypatch, directory, "round_00/fine_tuning/epoch-00002.json", num_rounds=0)
    return directory


def test_more_epochs_of_training_begin_the_fine_tuning_anew(dead, tmp_path):
    expected = start(tmp_path / "whole", epochs=5, num_rounds=0)
    run = shutil.copytree(dead, tmp_path / "run")
    with pytest.warns(UserWarning, match="belongs to another run or epoch"):
        assert start(run, epochs=5, num_rounds=0) == expected


def test_another_fine_tuning_is_an_error_that_shows_the_difference(dead, tmp_path):
    run = shutil.copytree(dead, tmp_path / "run")
    with pytest.raises(ValueError, match=r"fine_tuning\.train_from: deep there, top now"):
        start(run, fine_tuning={"train_from": "top"}, num_rounds=0)


def flat(round_index):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Resizing(LOW, LOW),
            keras.layers.Flatten(),
            keras.layers.Dense(3, "softmax"),
        ]
    )


@pytest.mark.parametrize(
    ("student", "fine_tuning", "message"),
    [
        (flat, kns.FineTuning(resolution=HIGH), r"No weight of a network may depend on the size of the images"),
        (build, kns.FineTuning(train_from="depe"), r"`train_from` must be the name of exactly one layer"),
        (build, {"resolution": 5}, r"`fine_tuning` must be a FineTuning, or a function .* Received: dict in round 0"),
        (build, kns.FineTuning, r"`fine_tuning` must be a value, or a function of the round index"),
        (
            build,
            kns.FineTuning(batch_size=25),
            r"`fine_tuning\.batch_size` must be at most the number of labelled examples, 24\. Received: "
            r"fine_tuning\.batch_size=25 in round 0",
        ),
    ],
)
def test_what_cannot_be_fine_tuned_is_an_error_before_anything_is_trained(student, fine_tuning, message, monkeypatch):
    monkeypatch.setattr(kns.NoisyStudent, "fit", None)
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(student, fine_tuning=fine_tuning))


def test_steps_that_executions_do_not_divide_are_an_error():
    trainer = make_trainer(fine_tuning=kns.FineTuning(steps_per_epoch=3))
    trainer.compile("adam", steps_per_execution=2)
    message = r"`fine_tuning\.steps_per_epoch` must be a multiple of .* fine_tuning\.steps_per_epoch=3, steps_per_exec"
    with pytest.raises(ValueError, match=message):
        fit(trainer, steps_per_epoch=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 1.5}, r"`epochs` must be a positive integer\. Received: epochs=1\.5\."),
        ({"batch_size": 0}, r"`batch_size` must be a positive integer\. Received: batch_size=0\."),
        ({"steps_per_epoch": True}, r"`steps_per_epoch` must be a positive integer\. Received: steps_per_epoch=True\."),
        ({"resolution": 0}, r"`resolution` must be a positive integer, a pair \(height, width\) .* resolution=0\."),
        ({"resolution": (6, 5, 1)}, r"Received: resolution=\(6, 5, 1\)\."),
        ({"train_from": 3}, r"`train_from` must be the name of a layer, or None\. Received: train_from=3\."),
        ({"optimizer": "sdg"}, r"`optimizer` must be a keras\.optimizers\.Optimizer, or the name .* optimizer='sdg'\."),
        ({"optimizer": None}, r"Received: optimizer=None\."),
    ],
)
def test_refuses_other_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        kns.FineTuning(**arguments)


def test_a_resolution_is_one_number_or_two():
    assert [kns.FineTuning(resolution=value).size for value in (None, 5, (6, 5))] == [None, (5, 5), (6, 5)]
