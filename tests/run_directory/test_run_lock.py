import os
import socket
import subprocess
import sys

import pytest
import tensorflow as tf

from keras_noisy_student.run_directory.run_lock import RunLock
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "lock.json")


def _left_behind(path, **holder):
    write_json(path, {"host": socket.gethostname(), "pid": 1, "started": None, "token": "another", **holder})


def _started(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[19]


def test_a_lock_is_there_while_it_is_held_and_gone_afterwards(tmp_path, path):
    with RunLock(str(tmp_path)) as lock:
        holder = read_json(path)
        assert (holder["host"], holder["pid"]) == (socket.gethostname(), os.getpid())
        lock.check()
    assert not os.path.exists(path)


def test_it_is_gone_after_an_error_too(tmp_path, path):
    with pytest.raises(KeyboardInterrupt), RunLock(str(tmp_path)):
        raise KeyboardInterrupt
    assert not os.path.exists(path)


@pytest.mark.parametrize("directory", ["{}", "ram://lock"])
def test_a_second_trainer_of_the_same_process_is_refused(tmp_path, directory):
    directory = directory.format(tmp_path)
    message = (
        rf"{directory} is held by another process: host {socket.gethostname()}, pid {os.getpid()}\. Wait for it, stop "
        r"it, or pass another `directory`\. If that process is gone, delete .*lock\.json\."
    )
    with RunLock(directory), pytest.raises(RuntimeError, match=message), RunLock(directory):
        pass
    with RunLock(directory):
        pass


def test_a_second_process_is_refused_and_a_lock_it_left_when_it_was_killed_is_taken_over(tmp_path, path):
    code = f"""
import time
from keras_noisy_student.run_directory.run_lock import RunLock
with RunLock({str(tmp_path)!r}):
    print("held", flush=True)
    time.sleep(600)
"""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(RuntimeError, match=rf"host {socket.gethostname()}, pid {other.pid}\."),
            RunLock(str(tmp_path)),
        ):
            pass
        other.kill()
    assert read_json(path)["pid"] == other.pid
    with RunLock(str(tmp_path)):
        assert read_json(path)["pid"] == os.getpid()


def test_a_lock_of_another_host_is_respected(tmp_path, path):
    _left_behind(path, host="elsewhere", pid=2**22 + 1)
    with (
        pytest.raises(RuntimeError, match=rf"host elsewhere, pid {2**22 + 1}\..* delete {path}"),
        RunLock(str(tmp_path)),
    ):
        pass


def test_a_living_process_that_began_later_than_the_holder_of_its_number_is_not_the_holder(tmp_path, path):
    _left_behind(path, pid=os.getppid(), started=_started(os.getppid()))
    with pytest.raises(RuntimeError, match=rf"pid {os.getppid()}\."), RunLock(str(tmp_path)):
        pass
    _left_behind(path, pid=os.getppid(), started="12")
    with RunLock(str(tmp_path)):
        pass


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 + 1, 0, -1, 2**70], ids=["ours", "none", "0", "-1", "2**70"])
def test_a_lock_of_a_dead_process_or_of_a_former_one_with_our_number_is_taken_over(tmp_path, path, pid):
    _left_behind(path, pid=pid)
    with RunLock(str(tmp_path)):
        assert read_json(path)["pid"] == os.getpid()


def test_a_lock_that_was_lost_is_noticed_and_not_removed(tmp_path, path):
    with RunLock(str(tmp_path)) as lock:
        _left_behind(path, host="elsewhere", pid=7)
        with pytest.raises(
            RuntimeError, match=r"host elsewhere, pid 7\..* This process held the directory before, and stops"
        ):
            lock.check()
    assert read_json(path)["pid"] == 7


def test_a_lock_that_was_deleted_is_noticed(tmp_path, path):
    with RunLock(str(tmp_path)) as lock:
        os.remove(path)
        with pytest.raises(RuntimeError, match=r"lock\.json was deleted\. This process held the directory before"):
            lock.check()


def test_what_ended_the_run_is_raised_and_not_what_the_lock_has_to_say(tmp_path, path, monkeypatch):
    def refuse(path):
        raise tf.errors.PermissionDeniedError(None, None, f"{path}; Permission denied")

    with pytest.raises(OSError, match="disk is full"), RunLock(str(tmp_path)):
        monkeypatch.setattr(tf.io.gfile, "remove", refuse)
        raise OSError("disk is full")
    monkeypatch.undo()
    with (
        pytest.raises(OSError, match=r"lock\.json could not be removed: .*Permission denied\. Mend"),
        RunLock(str(tmp_path)),
    ):
        monkeypatch.setattr(tf.io.gfile, "remove", refuse)


def test_where_a_process_cannot_be_asked_a_lock_is_respected(tmp_path, path, monkeypatch):
    _left_behind(path, pid=2**22 + 1)
    monkeypatch.setattr("keras_noisy_student.run_directory.run_lock.os.name", "nt")
    with pytest.raises(RuntimeError, match=rf"pid {2**22 + 1}\."), RunLock(str(tmp_path)):
        pass


HOLDER = {"host": "a", "pid": 1, "started": None, "token": "b"}


@pytest.mark.parametrize("content", [[1], {"pid": 1}, "x", None, HOLDER | {"pid": "1"}, HOLDER | {"token": []}])
def test_a_damaged_lock_is_an_error_that_says_what_to_do(tmp_path, path, content):
    write_json(path, content)
    message = r"lock\.json is damaged: it should name the process that writes here\. If none does, delete the file\."
    with pytest.raises(DamagedFileError, match=message), RunLock(str(tmp_path)):
        pass
    with open(path, "w") as file:
        file.write("half")
    with pytest.raises(DamagedFileError, match=message), RunLock(str(tmp_path)):
        pass
