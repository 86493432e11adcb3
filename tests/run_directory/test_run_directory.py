import os
import pathlib
import re

import numpy as np
import pytest

from keras_noisy_student.history import RoundRecord
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.run_directory.epoch_checkpoints import EpochCheckpoint
from keras_noisy_student.run_directory.run_directory import RunDirectory
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.tasks.classification import Classification
from tests.damage import DAMAGES
from tests.toy_data import features, network

SETTINGS = {"seed": 0, "task": Classification(3), "teacher": None, "data": {"num_labeled": 9}}
RECORD = RoundRecord(
    round_index=1,
    num_parameters=15,
    metrics={"loss": 0.1 + 0.2, "val_accuracy": 1 / 3},
    epochs={"loss": [1.5, 0.1 + 0.2], "val_accuracy": [0.0, 1 / 3]},
    num_annotated=5,
    num_kept=4,
    num_selected=6,
    class_counts=[2, 2, 1],
    selected_class_counts=[2, 2, 2],
    mean_confidence=0.75,
    gain=-0.25,
    is_promoted=False,
    seconds=1.25,
)
CHECKPOINT = EpochCheckpoint(num_epochs=2, logs={}, has_stopped=False, callbacks=[], variables=[np.arange(3)])


@pytest.fixture
def run(tmp_path):
    """A run of which this process holds the directory."""
    run = RunDirectory(str(tmp_path / "run"))
    with run.lock:
        run.claim(SETTINGS)
        yield run


def _saved(run, *, epochs=3):
    """A run whose round 1 is finished."""
    run.claim_round(1, {"epochs": epochs, "seed": 0})
    run.save_round(RECORD, network())
    return run


def _file_names(run):
    return {
        os.path.relpath(os.path.join(folder, file), run.path)
        for folder, _, files in os.walk(run.path)
        for file in files
    }


def test_a_run_finds_its_directory_as_it_left_it(run):
    for _ in range(2):
        run.claim(SETTINGS)
        run.claim_round(0, {"epochs": 3, "noise": Noise()})
    assert _file_names(run) == {"lock.json", "run.json", "round_00/settings.json"}


def test_a_directory_that_cannot_be_made_is_refused():
    with pytest.raises(OSError, match=r"directory /proc/run could not be made: .*\. Mend the permissions"):
        RunDirectory("/proc/run")


def test_another_run_is_an_error_that_shows_the_difference_and_what_to_do(run):
    run.claim(SETTINGS | {"former": 1})
    _saved(run)
    message = (
        rf"{re.escape(run.path)} holds another run\. Its run\.json differs:\n"
        r"  former: 1 there, absent now\n"
        r"  later: absent there, 2 now\n"
        r"  seed: 0 there, 3 now\n"
        r"To resolve this, do one of the following: pass another `directory`, pass the settings of that run, or delete "
        rf"{re.escape(run.path)}, which loses what was made there\."
    )
    with pytest.raises(ValueError, match=message):
        run.claim(SETTINGS | {"seed": 3, "later": 2})


def test_the_difference_is_that_of_the_innermost_setting(run):
    _saved(run)
    with pytest.raises(ValueError, match=r":\n  task\.num_classes: 3 there, 4 now\nTo resolve"):
        run.claim(SETTINGS | {"task": Classification(4)})


def test_a_finished_round_of_other_settings_is_an_error_and_stays_as_it_was(run):
    _saved(run, epochs=3)
    with pytest.raises(
        ValueError, match=r"Its round_01/settings\.json differs:\n  epochs: 3 there, 4 now\n.*delete .*round_01,"
    ):
        run.claim_round(1, {"epochs": 4, "seed": 0})
    run.claim_round(1, {"epochs": 3, "seed": 0})


def test_settings_of_which_nothing_was_made_may_be_changed(run):
    run.claim(SETTINGS | {"seed": 3})
    for epochs in (3, 4):
        run.claim_round(1, {"epochs": epochs})
    assert read_json(f"{run.path}/round_01/settings.json") == {"epochs": 4}


def test_of_a_round_that_is_being_trained_the_epochs_may_change_and_nothing_else(run):
    run.claim_round(0, {"epochs": 3, "batch_size": 8})
    run.save_epoch(0, CHECKPOINT)
    run.claim_round(0, {"epochs": 5, "batch_size": 8})
    assert run.checkpoints(0).last().num_epochs == 2
    message = r"Its round_00/settings\.json differs:\n  batch_size: 8 there, 9 now\n.*or delete .*round_00, which loses"
    with pytest.raises(ValueError, match=message):
        run.claim_round(0, {"epochs": 5, "batch_size": 9})
    with pytest.raises(ValueError, match=r"Its run\.json differs:\n  seed: 0 there, 1 now"):
        run.claim(SETTINGS | {"seed": 1})


def test_a_number_that_is_written_otherwise_makes_no_other_run(run):
    run.claim_round(0, {"epochs": 3, "unlabeled_ratio": 3})
    run.save_epoch(0, CHECKPOINT)
    run.claim(SETTINGS | {"seed": 0.0})
    run.claim_round(0, {"epochs": 3, "unlabeled_ratio": 3.0})
    assert run.checkpoints(0).last().num_epochs == 2


def test_the_path_is_no_pattern(tmp_path):
    run = RunDirectory(str(tmp_path / "lr=[0.1]*"))
    with run.lock:
        run.claim(SETTINGS)
        _saved(run).claim_round(2, {"epochs": 3})
        run.save_epoch(2, CHECKPOINT)
        assert run.checkpoints(2).last().num_epochs == 2
        with pytest.raises(ValueError, match="seed: 0 there, 1 now"):
            run.claim(SETTINGS | {"seed": 1})
        os.remove(f"{run.path}/round_01/record.json")
        with pytest.raises(DamagedFileError, match=r"round_01/record\.json is missing, although round 2"):
            run.claim(SETTINGS)


def test_checkpoints_that_were_left_beside_a_record_are_removed(run):
    run.claim_round(1, {"epochs": 3, "seed": 0})
    run.save_epoch(1, CHECKPOINT)
    folder = pathlib.Path(run.path, "round_01/checkpoints")
    left = {file: (folder / file).read_bytes() for file in ("epoch-00002.json", "epoch-00002.tfrecord")}
    run.save_round(RECORD, network())
    for file, content in left.items():
        (folder / file).write_bytes(content)
    run.claim_round(1, {"epochs": 3, "seed": 0})
    assert not list(folder.iterdir())


def test_of_many_differences_some_are_shown(run):
    run.claim_round(1, {f"setting_{number:02d}": 0 for number in range(14)})
    run.save_round(RECORD, network())
    with pytest.raises(ValueError, match=r"setting_09: 0 there, absent now\n  and 4 more\nTo resolve"):
        run.claim_round(1, {})


def test_checkpoints_of_another_run_are_not_taken(run):
    run.claim_round(0, {"epochs": 3, "batch_size": 8})
    run.save_epoch(0, CHECKPOINT)
    run.claim(SETTINGS)
    write_json(f"{run.path}/run.json", {"seed": 1})
    with pytest.raises(ValueError, match="differs"):
        run.claim(SETTINGS)
    other = RunDirectory(run.path)
    other._settings = {"seed": 1}
    with pytest.warns(
        UserWarning, match=r"epoch-00002\.json belongs to another run or epoch\. Training goes on from an"
    ):
        assert other.checkpoints(0).last() is None


def test_a_saved_round_is_loaded_to_the_last_bit(run):
    trained, fresh = network(seed=1), network(seed=2)
    run.claim_round(1, {})
    run.save_round(RECORD, trained)
    assert RunDirectory(run.path).load_round(1, fresh) == RECORD
    np.testing.assert_array_equal(fresh(features(4)), trained(features(4)))


def test_a_round_is_finished_once_it_is_saved_and_its_checkpoints_are_gone(run):
    run.claim_round(1, {})
    run.save_epoch(1, CHECKPOINT)
    assert not run.is_finished(1)
    run.save_round(RECORD, network())
    assert RunDirectory(run.path).is_finished(1)
    files = {"round_01/settings.json", "round_01/record.json", "round_01/student.weights.h5"}
    assert _file_names(run) == files | {"run.json", "lock.json"}


def test_a_round_whose_record_was_not_written_is_not_finished(run):
    _saved(run)
    os.remove(f"{run.path}/round_01/record.json")
    assert not run.is_finished(1)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["record.json", "student.weights.h5"])
def test_a_damaged_result_is_an_error_that_names_it_and_says_how_to_mend_it(run, name, damage):
    path = f"{_saved(run).path}/round_01/{name}"
    damage(path)
    directory = re.escape(f"{run.path}/round_01")
    message = (
        rf"{re.escape(path)} is (damaged|missing).* Put it back as it was, or delete {directory} to make round 1 again"
    )
    with pytest.raises(DamagedFileError, match=message):
        run.load_round(1, network())


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_settings_are_an_error_that_names_them_and_says_how_to_mend_them(run, damage):
    _saved(run)
    damage(f"{run.path}/round_01/settings.json")
    with pytest.raises(
        DamagedFileError, match=r"round_01/settings\.json is .* or delete .*round_01 to make round 1 again"
    ):
        run.claim_round(1, {"epochs": 3, "seed": 0})
    damage(f"{run.path}/run.json")
    with pytest.raises(
        DamagedFileError, match=r"run\.json is .* Put it back as it was, or delete .* to start the run anew"
    ):
        run.claim(SETTINGS)


def test_a_round_that_lost_its_record_although_a_later_one_was_begun_is_found(run):
    _saved(run)
    run.claim_round(2, {})
    run.claim(SETTINGS)
    os.remove(f"{run.path}/round_01/record.json")
    message = (
        r"round_01/record\.json is missing, although round 2 was begun\. Put it back as it was, or delete .*round_01 to"
    )
    with pytest.raises(DamagedFileError, match=message):
        run.claim(SETTINGS)
    for file in ("settings.json", "student.weights.h5"):
        os.remove(f"{run.path}/round_01/{file}")
    run.save_epoch(2, CHECKPOINT)
    run.claim(SETTINGS)


@pytest.mark.parametrize("content", [[], {"record": {"a": 1}, "weights": ""}, {"record": 3}, None])
def test_a_record_of_another_kind_is_found(run, content):
    _saved(run)
    write_json(f"{run.path}/round_01/record.json", content)
    with pytest.raises(
        DamagedFileError, match=r"record\.json is damaged: it should hold the record of a round\. Put it"
    ):
        run.load_round(1, network())


def test_nothing_is_written_once_another_process_has_taken_the_directory(run):
    run.claim_round(1, {})
    before = _file_names(run)
    write_json(f"{run.path}/lock.json", {"host": "elsewhere", "pid": 7, "started": None, "token": "x"})
    for write in (lambda: run.save_epoch(1, CHECKPOINT), lambda: run.save_round(RECORD, network())):
        with pytest.raises(
            RuntimeError, match=r"held by another process: host elsewhere, pid 7\..* stops without writing"
        ):
            write()
    assert _file_names(run) == before


def test_every_round_has_a_place_for_its_pseudo_labels(run):
    assert [run.pseudo_labels_path(index) for index in (0, 12)] == [
        f"{run.path}/round_00/pseudo_labels",
        f"{run.path}/round_12/pseudo_labels",
    ]
