"""Runs that are stopped and started again: whatever happened in between, they end as if it had not."""

import itertools
import os
import pathlib
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.storage import atomic_files
from keras_noisy_student.storage.json_files import write_json
from tests.damage import delete, flip, truncate
from tests.test_trainer import LABELED, NUM_CLASSES, POOL, TEST, as_dataset, brighten


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


class KillAt(keras.callbacks.Callback):
    """Dies at the beginning of a step."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.place = (epoch, batch)

    def get_state(self):
        return {}

    def set_state(self, state):
        pass

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise Killed


class Small(kns.NoisyStudentTrainer):
    """Several shards in a small pool."""

    inference_batch_size = 16
    rows_per_shard = 32


class DieBeforeTraining(Small):
    """Dies when everything that is on disk has been read."""

    def train(self, *arguments, **keywords):
        raise Killed


def network(round_index):
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(8 + round_index, "leaky_relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(NUM_CLASSES, "softmax"),
        ]
    )


def start(directory, *, data=(LABELED, POOL), callbacks=(), kills=None, trainer_class=Small, **fit_arguments):
    """Starts a run, or goes on with it; returns all that has to be the same in the end. `kills` is by round."""
    trainer = trainer_class(
        network,
        kns.Classification(num_classes=NUM_CLASSES),
        noise=kns.Noise(brighten, dropout_rate=0.2),
        pseudo_labeling=kns.PseudoLabeling(confidence_threshold=0.34, examples_per_class="auto"),
        unlabeled_ratio=1.5,
        directory=str(directory),
    )
    trainer.compile(keras.optimizers.Adam(0.03, use_ema=True, ema_momentum=0.8), metrics=["accuracy"])
    own = [
        keras.callbacks.EarlyStopping(patience=2, start_from_epoch=1, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5),
    ]
    settings = {"num_rounds": 1, "batch_size": 10, "epochs": 3, "steps_per_epoch": 3, "verbose": 0}
    history = trainer.fit_rounds(
        *data,
        validation_data=TEST,
        callbacks=lambda round_index: [*own, *callbacks, *(kills or {}).get(round_index, [])],
        **settings | fit_arguments,
    )
    columns = history.to_dict()
    del columns["seconds"]
    return {
        "weights": [weight.tobytes() for weight in trainer.model.get_weights()],
        "history": columns,
        "epochs": [record.epochs for record in history],
        "pseudo_labels": pseudo_labels(directory),
    }


def pseudo_labels(directory):
    files = sorted(pathlib.Path(directory).glob("round_*/pseudo_labels/*")) if "://" not in str(directory) else []
    return {str(file.relative_to(directory)): file.read_bytes() for file in files}


def start_and_die(directory, **arguments):
    with pytest.raises(Killed):
        start(directory, **arguments)


def assert_trains_the_same_teacher(directory, whole):
    """The logs of all epochs are the same to the last bit; the student is left out, to save time."""
    assert start(directory, num_rounds=0)["epochs"] == whole["epochs"][:1]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a run that was never stopped."""
    directory = tmp_path_factory.mktemp("whole")
    start(directory)
    return directory


@pytest.fixture(scope="module")
def whole(finished):
    """What it ended with."""
    return start(finished)


@pytest.mark.parametrize("kind", ["arrays", "stream"])
def test_a_run_that_dies_in_training_goes_on_at_the_last_finished_epoch(tmp_path, whole, kind):
    data = (LABELED, POOL) if kind == "arrays" else (as_dataset(LABELED), as_dataset(POOL))
    expected = whole if kind == "arrays" else start(tmp_path / "whole", data=data)
    for round_index, epoch, batch in ((0, 0, 1), (0, 1, 0), (0, 2, 2), (1, 2, 1)):
        start_and_die(tmp_path / "run", data=data, kills={round_index: [KillAt(epoch, batch)]})
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: steps.append(batch))
    assert start(tmp_path / "run", data=data, callbacks=[count]) == expected
    assert steps == [0, 1, 2]


def test_a_run_that_dies_in_annotation_goes_on_at_the_last_finished_shard(tmp_path, whole, monkeypatch):
    def die_at_the_third_shard(path, write):
        if "shard-00000-00002.columns" in path:
            raise Killed
        return atomic_files.write_atomically(path, write)

    with monkeypatch.context() as patched:
        patched.setattr("keras_noisy_student.pseudo_labels.shard.write_atomically", die_at_the_third_shard)
        start_and_die(tmp_path)
    finished = {name: os.stat(tmp_path / name).st_mtime_ns for name in pseudo_labels(tmp_path)}
    assert len([name for name in finished if name.endswith("columns.tfrecord")]) == 2
    assert start(tmp_path) == whole
    assert {name: os.stat(tmp_path / name).st_mtime_ns for name in finished} == finished


KINDS = [
    "run.json",
    "settings.json",
    "epoch-00001.tfrecord",
    "epoch-00001.json",
    "epoch-00003.json",
    "student.weights.h5",
    "record.json",
    "annotation.json",
    "shard-00000-00000.columns.tfrecord",
    "shard-00000-00000.json",
    "shard-00000-00003.targets.tfrecord",
    "manifest.json",
]


@pytest.mark.slow
def test_a_run_may_die_while_any_file_is_being_written(tmp_path, whole, monkeypatch):
    """One run that dies again and again: in turns just before a file gets its name, and just after."""

    def die_at(kind, is_renamed):
        def rename(source, target, overwrite):
            if is_renamed or not target.endswith(kind):
                rename_for_real(source, target, overwrite=overwrite)
            if target.endswith(kind):
                raise Killed

        return rename

    rename_for_real = tf.io.gfile.rename
    for number, kind in enumerate(KINDS):
        with monkeypatch.context() as patched:
            patched.setattr(tf.io.gfile, "rename", die_at(kind, is_renamed=number % 2 == 1))
            start_and_die(tmp_path)
    assert start(tmp_path) == whole


def test_a_rename_that_is_a_copy_and_a_removal_may_be_cut_in_two(tmp_path, whole, monkeypatch):
    """As on object stores: both names are there."""

    def copy_only(source, target, overwrite):
        tf.io.gfile.copy(source, target, overwrite=overwrite)
        if target.endswith("epoch-00002.json"):
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(tf.io.gfile, "rename", copy_only)
        start_and_die(tmp_path)
    assert_trains_the_same_teacher(tmp_path, whole)


def test_a_run_on_another_file_system_goes_on_too(whole):
    directory = "ram://runs/remote"
    start_and_die(directory, callbacks=[KillAt(1, 0)])
    result = start(directory)
    assert [result[name] for name in ("weights", "history", "epochs")] == [
        whole[name] for name in ("weights", "history", "epochs")
    ]


def test_a_full_disk_stops_the_run_and_the_last_good_state_goes_on(tmp_path, whole, monkeypatch):
    def on_a_full_disk(path, write):
        def fill(temporary):
            with open("/dev/full", "w") as disk:
                disk.write("x")

        atomic_files.write_atomically(path, fill if path.endswith("epoch-00002.tfrecord") else write)

    with monkeypatch.context() as patched:
        patched.setattr("keras_noisy_student.storage.tensor_files.write_atomically", on_a_full_disk)
        message = r"epoch-00002\.tfrecord could not be written: .*No space left on device\..* start again with the same"
        with pytest.raises(OSError, match=message):
            start(tmp_path)
    assert_trains_the_same_teacher(tmp_path, whole)


def test_damage_to_unfinished_work_is_named_and_made_good(tmp_path, whole):
    start_and_die(tmp_path, kills={1: [KillAt(2, 1)]})
    flip(tmp_path / "round_01/checkpoints/epoch-00002.tfrecord")
    truncate(tmp_path / "round_01/pseudo_labels/shard-00000-00001.targets.tfrecord")
    with pytest.warns(UserWarning) as caught:
        result = start(tmp_path)
    named = [str(warning.message).split(" is damaged")[0] for warning in caught if warning.category is UserWarning]
    assert named == [
        f"{tmp_path}/round_01/checkpoints/epoch-00002.tfrecord",
        f"{tmp_path}/round_01/pseudo_labels/shard-00000-00001.targets.tfrecord",
    ]
    assert result == whole


def test_damage_to_a_finished_round_is_an_error_that_says_how_to_go_on(tmp_path, whole):
    start_and_die(tmp_path, kills={1: [KillAt(1, 1)]})
    delete(tmp_path / "round_00/student.weights.h5")
    message = rf"student\.weights\.h5 is missing\. .* or delete {tmp_path}/round_00 to make round 0 again"
    with pytest.raises(ValueError, match=message):
        start(tmp_path)
    shutil.rmtree(tmp_path / "round_00")
    assert start(tmp_path) == whole


@pytest.fixture
def signals_as_in_a_terminal():
    """A shell that starts the tests in the background has them ignore Ctrl-C."""
    defaults = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_in_a_terminal")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_lets_go_of_its_directory_and_says_how_to_go_on(tmp_path, whole, stop, capsys):
    def interrupt_at(epoch, logs):
        if epoch == 2:
            signal.raise_signal(stop)

    interrupt = keras.callbacks.LambdaCallback(on_epoch_begin=interrupt_at)
    with pytest.raises(SystemExit if stop == signal.SIGTERM else KeyboardInterrupt):
        start(tmp_path, callbacks=[interrupt], verbose=2)
    printed = capsys.readouterr().out
    assert "Stopped. Every finished epoch and shard is kept: call `fit_rounds` again" in printed
    assert f"directory='{tmp_path}' to go on." in printed
    assert not (tmp_path / "lock.json").exists()
    assert_trains_the_same_teacher(tmp_path, whole)


def test_after_an_interruption_the_trainer_has_the_last_promoted_student(tmp_path):
    class Interrupted(Small):
        def annotate(self, *arguments):
            trainers.append(self)
            raise KeyboardInterrupt

    trainers = []
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, trainer_class=Interrupted)
    assert trainers[0].evaluate(TEST, return_dict=True, verbose=0)["accuracy"] > 0.5


def test_two_trainers_do_not_share_a_directory(tmp_path):
    class Second(Small):
        def annotate(self, *arguments):
            with pytest.raises(
                RuntimeError, match=rf"{tmp_path} is held by another process: host .*, pid {os.getpid()}"
            ):
                start(tmp_path)
            raise Killed

    start_and_die(tmp_path, trainer_class=Second)


def test_a_callback_with_a_state_that_was_not_kept_is_refused_by_name(tmp_path):
    class Remembering(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.remembered = epoch

    with pytest.warns(
        UserWarning, match=r"cannot go on with the callback Remembering: its remembered changes in training"
    ):
        start_and_die(tmp_path, callbacks=[Remembering(), KillAt(1, 0)])
    with pytest.raises(ValueError, match=r"callback Remembering cannot go on where it was: its remembered changed"):
        start(tmp_path, callbacks=[Remembering()])


def test_early_stopping_that_has_stopped_stays_stopped(tmp_path):
    class StopAfterThree(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    class DieWhenPromoting(Small):
        def promote(self, *arguments):
            raise Killed

    start_and_die(tmp_path, callbacks=[StopAfterThree()], trainer_class=DieWhenPromoting, num_rounds=0, epochs=9)
    result = start(tmp_path, callbacks=[StopAfterThree()], num_rounds=0, epochs=9)
    assert len(result["epochs"][0]["loss"]) == 3


def test_more_epochs_of_a_round_that_is_being_trained_are_trained(tmp_path, whole):
    start_and_die(tmp_path, callbacks=[KillAt(1, 0)], epochs=2)
    assert_trains_the_same_teacher(tmp_path, whole)


def test_fewer_epochs_than_were_trained_are_refused(tmp_path):
    start_and_die(tmp_path, callbacks=[KillAt(2, 0)])
    message = (
        r"`epochs` must be at least as many as were trained\. Received: epochs=1 in round 0, of which 2 are finished"
    )
    with pytest.raises(ValueError, match=message):
        start(tmp_path, epochs=1)


def test_a_run_that_stopped_at_a_nan_goes_on_by_skipping(tmp_path):
    images = LABELED[0].astype("float32")
    images[25] = np.nan
    pool = POOL.astype("float32")

    def fit(on_non_finite):
        trainer = kns.NoisyStudentTrainer(network, kns.Classification(NUM_CLASSES), directory=str(tmp_path))
        trainer.compile(keras.optimizers.Adam(0.03), on_non_finite=on_non_finite)
        settings = {"num_rounds": 0, "batch_size": 3, "epochs": 4, "steps_per_epoch": 3, "verbose": 0}
        return trainer.fit_rounds((images, LABELED[1]), pool, **settings)

    with pytest.raises(ValueError, match=r"Received: loss=nan at epoch \d, step \d"):
        fit("stop")
    skipped = fit("skip")[0].epochs["skipped_steps"]
    assert len(skipped) == 4
    assert np.nansum(skipped) >= 1  # NaN stands for the epochs that were trained before steps were counted.


def test_weights_that_the_last_update_made_infinite_are_not_kept(tmp_path):
    class Overflow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.network.layers[-1].bias.assign([np.inf, 0, 0])

    trainer = kns.NoisyStudentTrainer(network, kns.Classification(NUM_CLASSES), directory=str(tmp_path))
    trainer.compile("adam")
    message = (
        r"Weights and optimizer must be finite\. Received: NaN or infinity at the end of epoch 2, which is not kept"
    )
    with pytest.raises(ValueError, match=message):
        trainer.fit_rounds(LABELED, num_rounds=0, batch_size=10, epochs=3, callbacks=[Overflow()], verbose=0)
    assert sorted(path.name for path in (tmp_path / "round_00/checkpoints").iterdir()) == [
        "epoch-00001.json",
        "epoch-00001.tfrecord",
    ]


def test_a_subclass_may_make_students_of_its_own(tmp_path):
    class Own(Small):
        def make_student(self, teacher, data, settings):
            keras.utils.set_random_seed(0)
            student = kns.NoisyStudent(network(settings.index), task=self.task)
            student.compile(keras.optimizers.Adam(0.02))
            return student

    start_and_die(tmp_path, trainer_class=Own, kills={0: [KillAt(2, 0)]})
    start(tmp_path, trainer_class=Own, num_rounds=0)


def test_more_epochs_of_a_round_whose_student_was_promoted_are_refused(tmp_path):
    start(tmp_path, num_rounds=0)
    with pytest.raises(ValueError, match=r"round_00/settings\.json differs:\n  epochs: 3 there, 4 now\n.*delete .*_00"):
        start(tmp_path, epochs=4)


def test_settings_given_as_functions_are_compared_by_what_they_return(finished, whole):
    assert start(finished, epochs=lambda round_index: 3, batch_size=lambda round_index: 10) == whole
    with pytest.raises(ValueError, match=r"batch_size: 10 there, 9 now"):
        start(finished, batch_size=lambda round_index: 9)


def other_pool():
    return LABELED, POOL[::-1]


def other_labels():
    return (LABELED[0], LABELED[1][[1, 0, *range(2, 30)]]), POOL


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        ({"data": other_pool()}, r"data\.first_unlabeled_fingerprints: \w+ there, \w+ now"),
        ({"data": (as_dataset(LABELED), POOL)}, r"data\.labeled_source: ArraySource there, StreamSource now"),
        ({"data": (LABELED, POOL[:100])}, r"data\.num_unlabeled: 120 there, 100 now"),
        ({"data": other_labels()}, r"data\.labeled_fingerprint: \d+ there, \d+ now"),
        ({"steps_per_epoch": 4}, r"steps_per_epoch: 3 there, 4 now"),
    ],
)
def test_other_data_and_settings_are_an_error_that_shows_the_difference(finished, arguments, difference):
    with pytest.raises(ValueError, match=rf"holds another run\. Its .*differs:\n[\s\S]*{difference}[\s\S]*To resolve"):
        start(finished, **arguments)


HOSTILE = [None, 3, "../../etc/passwd", [], [None], {}, {"__class__": "os.system"}, {"record": {"metrics": "x"}}]


@pytest.mark.filterwarnings("ignore:.* (annotated|written) again")
@pytest.mark.filterwarnings("ignore:.* belongs to another")
@pytest.mark.filterwarnings("ignore:.* Training goes on from")
def test_a_hostile_directory_is_an_error_or_made_good_and_nothing_outside_of_it_is_touched(tmp_path, whole):
    """Files that say anything, with the right checksum."""
    stopped, outside = tmp_path / "stopped", tmp_path / "outside"
    start_and_die(stopped, kills={1: [KillAt(1, 1)]})
    outside.write_text("untouched")
    for file, content in zip(sorted(stopped.rglob("*.json")), itertools.cycle(HOSTILE), strict=False):
        run = shutil.copytree(stopped, tmp_path / "run")
        write_json(str(run / file.relative_to(stopped)), content)
        try:
            start_and_die(run, trainer_class=DieBeforeTraining)
        except ValueError as error:
            assert str(run) in str(error)
        shutil.rmtree(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "stopped"]
    assert outside.read_text() == "untouched"


def test_another_version_of_the_library_is_an_error_that_shows_it(finished, monkeypatch):
    monkeypatch.setattr("keras_noisy_student.trainer.__version__", "99.0")
    with pytest.raises(ValueError, match=r"run\.json differs:\n  version: .* there, 99\.0 now"):
        start(finished)
