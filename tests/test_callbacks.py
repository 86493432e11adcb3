"""The callbacks of Keras in `fit_rounds`: each does what it does in `fit`, in every round."""

import csv

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from tests.tensorboard_events import read_events
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, features, labels, network

LABELED = features(30) + 3 * np.eye(NUM_CLASSES, NUM_FEATURES, dtype="float32")[labels(30)], labels(30)
POOL = features(60, seed=1)
LEARNING_RATE = 0.05
SO_MUCH_BETTER_THAT_NO_EPOCH_IS = 1e9


def fit(directory, **arguments):
    trainer = kns.NoisyStudentTrainer(
        lambda round_index: network(seed=round_index),
        kns.Classification(num_classes=NUM_CLASSES),
        pseudo_labeling=kns.PseudoLabeling(confidence_threshold=0.4, examples_per_class="auto"),
        directory=str(directory),
    )
    trainer.compile(keras.optimizers.Adam(LEARNING_RATE), metrics=["accuracy"])
    settings = {"num_rounds": 1, "batch_size": 10, "epochs": 2, "validation_data": LABELED, "verbose": 0}
    return trainer, trainer.fit_rounds(LABELED, POOL, **settings | arguments)


@pytest.fixture(scope="module")
def by_round(tmp_path_factory):
    """A run whose callbacks are made for each round: where they write, the trainer, the history, and epochs seen."""
    pytest.importorskip("tensorboard")
    directory, seen = tmp_path_factory.mktemp("by_round"), []

    def callbacks(round_index):
        return [
            keras.callbacks.CSVLogger(directory / f"{round_index}.csv"),
            keras.callbacks.ModelCheckpoint(directory / f"{round_index}.keras"),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((round_index, epoch))),
            keras.callbacks.TensorBoard(str(directory / f"logs_{round_index}")),
        ]

    trainer, history = fit(directory / "run", callbacks=callbacks)
    return directory, trainer, history, seen


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A run whose rounds share their callbacks: where they write, and the history."""
    pytest.importorskip("tensorboard")
    directory = tmp_path_factory.mktemp("shared")
    never_better = {"monitor": "loss", "min_delta": SO_MUCH_BETTER_THAT_NO_EPOCH_IS}
    callbacks = [
        keras.callbacks.EarlyStopping(patience=2, **never_better),
        keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, **never_better),
        keras.callbacks.TensorBoard(str(directory / "logs")),
    ]
    _, history = fit(directory / "run", epochs=5, callbacks=callbacks)
    assert callbacks[-1].log_dir == str(directory / "logs")
    return directory, history


def test_early_stopping_begins_anew_in_each_round(shared):
    _, history = shared
    assert [len(record.epochs["loss"]) for record in history] == [3, 3]


def test_a_plateau_lowers_the_learning_rate_of_its_round(shared):
    _, history = shared
    for record in history:
        assert record.epochs["learning_rate"] == pytest.approx([LEARNING_RATE, LEARNING_RATE, LEARNING_RATE / 2])


def test_a_csv_log_has_the_epochs_of_its_round(by_round):
    directory, _, history, _ = by_round
    for record in history:
        with open(directory / f"{record.round_index}.csv") as file:
            rows = list(csv.DictReader(file))
        assert [float(row["val_accuracy"]) for row in rows] == pytest.approx(record.epochs["val_accuracy"])


def test_a_model_checkpoint_loads_as_the_network_of_its_round(by_round):
    directory, trainer, _, _ = by_round
    loaded = keras.models.load_model(directory / "1.keras")
    np.testing.assert_allclose(loaded.predict(POOL, verbose=0), trainer.predict(POOL, verbose=0), rtol=1e-5)


def test_a_lambda_sees_every_epoch_of_every_round(by_round):
    *_, seen = by_round
    assert seen == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_tensorboard_shows_the_epochs_of_each_round_as_runs_of_their_own(shared):
    directory, history = shared
    for record in history:
        of_round = directory / "logs" / f"round_{record.round_index}"
        losses = read_events(of_round / "train")["epoch_loss"]
        assert {step: float(loss) for step, loss in losses.items()} == pytest.approx(
            dict(enumerate(record.epochs["loss"]))
        )
        accuracies = read_events(of_round / "validation")["epoch_accuracy"]
        assert list(map(float, accuracies.values())) == pytest.approx(record.epochs["val_accuracy"])
    assert not (directory / "logs" / "train").exists()


def test_tensorboard_shows_a_point_for_each_round(shared):
    directory, history = shared
    events = read_events(directory / "logs" / "rounds")
    for record in history:
        for tag, value in {
            "round/val_accuracy": record.metrics["val_accuracy"],
            "round/num_kept": record.num_kept,
            "round/num_parameters": record.num_parameters,
        }.items():
            assert float(events[tag][record.round_index]) == pytest.approx(value)
    assert list(events["round/mean_confidence"]) == [1]


def test_tensorboard_shows_histograms_of_the_pseudo_labels(shared):
    directory, history = shared
    events = read_events(directory / "logs" / "rounds")
    record, confidence = history[1], events["pseudo_labels/confidence"][1]
    assert confidence[:, 2].sum() == record.num_annotated == len(POOL)
    centers = confidence[:, :2].mean(axis=1)
    half_a_bucket = 0.01
    assert np.average(centers, weights=confidence[:, 2]) == pytest.approx(record.mean_confidence, abs=half_a_bucket)
    for tag, counts in {
        "pseudo_labels/class": record.class_counts,
        "pseudo_labels/selected_class": record.selected_class_counts,
    }.items():
        np.testing.assert_array_equal(events[tag][1], [[c - 0.5, c + 0.5, count] for c, count in enumerate(counts)])


def test_a_tensorboard_of_one_round_writes_to_its_directory_itself(by_round):
    directory, _, history, _ = by_round
    losses = read_events(directory / "logs_1" / "train")["epoch_loss"]
    assert list(map(float, losses.values())) == pytest.approx(history[1].epochs["loss"])
    assert list(read_events(directory / "logs_0" / "rounds")["round/val_accuracy"]) == [0]
    assert list(read_events(directory / "logs_1" / "rounds")["round/val_accuracy"]) == [1]


def test_annotation_shows_one_progress_bar_and_a_round_one_line(tmp_path, capsys):
    fit(tmp_path, verbose=1)
    printed = capsys.readouterr().out
    _, _, after = printed.partition("Round 1: the teacher annotates the unlabelled pool\n")
    annotation, _, _ = after.partition("Round 1: training the student\n")
    assert annotation.count("1/1") == annotation.count("/batch") == annotation.count("\n") == 1
    assert printed.count("Round 1 (student 1): kept ") == 1
