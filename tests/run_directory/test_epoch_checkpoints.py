import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.run_directory.epoch_checkpoints import EpochCheckpoint, EpochCheckpoints
from keras_noisy_student.storage.json_files import read_json, write_json
from tests.damage import DAMAGES, delete


def _checkpoint(num_epochs, **fields):
    values = {
        "num_epochs": num_epochs,
        "logs": {"loss": [1 / 3] * num_epochs, "nan": [float("inf")]},
        "has_stopped": False,
        "callbacks": [
            {"class": "A", "state": {"best": 0.1 + 0.2, "weights": [np.arange(3.0), np.float32([[1]])]}, "lost": []},
            {"class": "B", "state": {}, "lost": ["x"]},
        ],
        "variables": [np.full((2, num_epochs), 0.1, "float32"), np.int64(num_epochs)],
    }
    return EpochCheckpoint(**values | fields)


def _checkpoints(directory, origin="mine"):
    return EpochCheckpoints(str(directory), origin=origin)


def _assert_same(received, expected):
    leaves, expected_leaves = (tf.nest.flatten(dataclasses.asdict(checkpoint)) for checkpoint in (received, expected))
    for one, other in zip(leaves, expected_leaves, strict=True):
        np.testing.assert_array_equal(one, other)
    assert received.logs == expected.logs
    assert [array.dtype for array in received.variables] == [array.dtype for array in expected.variables]


@pytest.mark.parametrize("directory", ["{}", "ram://checkpoints"])
def test_the_last_checkpoint_is_read_to_the_last_bit(tmp_path, directory):
    directory = directory.format(tmp_path)
    assert _checkpoints(directory).last() is None
    assert not _checkpoints(directory).exist()
    for epoch in (1, 2, 3):
        _checkpoints(directory).save(_checkpoint(epoch, has_stopped=epoch == 3))
    _assert_same(_checkpoints(directory).last(), _checkpoint(3, has_stopped=True))
    assert _checkpoints(directory).exist()


def test_two_checkpoints_are_kept_until_all_are_removed(tmp_path):
    checkpoints = _checkpoints(tmp_path)
    for epoch in range(1, 12):
        checkpoints.save(_checkpoint(epoch))
    names = {f"epoch-000{epoch}.{suffix}" for epoch in (10, 11) for suffix in ("json", "tfrecord")}
    assert set(os.listdir(tmp_path)) == names
    checkpoints.remove()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", ["json", "tfrecord"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_taken(tmp_path, suffix, damage):
    checkpoints = _checkpoints(tmp_path)
    for epoch in (1, 2):
        checkpoints.save(_checkpoint(epoch))
    damage(tmp_path / f"epoch-00002.{suffix}")
    if suffix == "json" and damage is delete:  # As if it had not been finished.
        last = checkpoints.last()
    else:
        with pytest.warns(UserWarning, match=rf"epoch-00002\.{suffix} is (damaged|missing).* Training goes on"):
            last = checkpoints.last()
    _assert_same(last, _checkpoint(1))
    checkpoints.save(_checkpoint(2))
    _assert_same(checkpoints.last(), _checkpoint(2))


def test_a_checkpoint_of_another_run_or_epoch_is_found(tmp_path):
    _checkpoints(tmp_path, origin="other").save(_checkpoint(4))
    with pytest.warns(UserWarning, match=r"epoch-00004\.json belongs to another run or epoch\."):
        assert _checkpoints(tmp_path).last() is None
    for suffix in ("json", "tfrecord"):
        os.rename(tmp_path / f"epoch-00004.{suffix}", tmp_path / f"epoch-00009.{suffix}")
    with pytest.warns(UserWarning, match=r"epoch-00009\.json belongs to another run or epoch\."):
        assert _checkpoints(tmp_path, origin="other").last() is None


@pytest.mark.parametrize(
    "change", [{"num_variables": "x"}, {"callbacks": {"__array__": 9}}, {"tensors": 3}, {"callbacks": [{}]}, None]
)
def test_a_file_of_another_kind_is_found(tmp_path, change):
    checkpoints = _checkpoints(tmp_path)
    checkpoints.save(_checkpoint(1))
    path = str(tmp_path / "epoch-00001.json")
    write_json(path, change and read_json(path) | change)
    with pytest.warns(UserWarning, match=r"epoch-00001\.(json|tfrecord) is damaged"):
        assert checkpoints.last() is None


def test_a_state_that_cannot_be_kept_is_refused(tmp_path):
    message = r"state of a callback must be nested of dicts, .* Received: object\. Convert it in `get_state`\."
    with pytest.raises(ValueError, match=message):
        _checkpoints(tmp_path).save(_checkpoint(1, callbacks=[{"class": "A", "state": object(), "lost": []}]))
    assert _checkpoints(tmp_path).last() is None
