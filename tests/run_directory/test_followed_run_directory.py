import re

import pytest

from keras_noisy_student.run_directory.followed_run_directory import FollowedRunDirectory
from keras_noisy_student.run_directory.run_directory import RunDirectory

SETTINGS = {"seed": 0}
ROUND = {"batch_size": 8, "epochs": 2}


def _files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_writes_nothing(tmp_path):
    chief, follower = RunDirectory(str(tmp_path)), FollowedRunDirectory(str(tmp_path))
    with chief.lock, follower.lock:
        chief.claim(SETTINGS)
        chief.claim_round(0, ROUND)
        before = {name: (tmp_path / name).read_bytes() for name in _files(tmp_path)}
        follower.claim(SETTINGS)
        follower.claim_round(0, {**ROUND, "epochs": 3})
        follower.lock.check()
        follower.save_epoch(0, None)
        follower.save_round(None, None)
        assert {name: (tmp_path / name).read_bytes() for name in _files(tmp_path)} == before
        assert follower.checkpoints(0).last() is None
    assert _files(tmp_path) == ["round_00/settings.json", "run.json"]


def test_says_that_its_settings_are_not_those_of_the_chief(tmp_path):
    chief, follower = RunDirectory(str(tmp_path)), FollowedRunDirectory(str(tmp_path))
    with chief.lock:
        chief.claim(SETTINGS)
        chief.claim_round(0, ROUND)
    with pytest.raises(ValueError, match=r"holds another run\. Its run\.json differs:\n  seed: 0 there, 1 now"):
        follower.claim({"seed": 1})
    follower.claim(SETTINGS)
    with pytest.raises(ValueError, match=r"Its round_00/settings\.json differs:\n  batch_size: 8 there, 16 now"):
        follower.claim_round(0, {**ROUND, "batch_size": 16})


def test_says_that_it_does_not_see_the_directory_of_the_chief(tmp_path):
    message = re.escape(
        f"`directory` must be one that all workers see. Received: {tmp_path}, in which this worker does not find "
        "run.json, although worker 0 has written it. Use a shared file system or an object store."
    )
    with pytest.raises(ValueError, match=message):
        FollowedRunDirectory(str(tmp_path)).claim(SETTINGS)
