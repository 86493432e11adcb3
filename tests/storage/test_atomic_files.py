import pathlib

import pytest
import tensorflow as tf

from keras_noisy_student.storage.atomic_files import make_directory, matching_names, remove_if_there, write_atomically


def _write(text):
    def write(path):
        with tf.io.gfile.GFile(path, "w") as file:
            file.write(text)

    return write


@pytest.mark.parametrize("directory", ["{}", "ram://atomic"])
def test_a_file_is_replaced_as_a_whole(tmp_path, directory):
    directory = directory.format(tmp_path)
    tf.io.gfile.makedirs(directory)
    for text in ("before", "after"):
        write_atomically(f"{directory}/file", _write(text))
    with tf.io.gfile.GFile(f"{directory}/file") as file:
        assert file.read() == "after"
    assert tf.io.gfile.listdir(directory) == ["file"]


def test_whoever_is_stopped_while_writing_leaves_the_file_as_it_was(tmp_path):
    def stopped(path):
        pathlib.Path(path).write_text("half")
        raise KeyboardInterrupt

    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(str(path), stopped)
    assert path.read_text() == "before"
    write_atomically(str(path), _write("after"))
    assert path.read_text() == "after"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_link_under_the_temporary_name_is_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_text("of somebody else")
    (tmp_path / "file.tmp").symlink_to(other)
    write_atomically(str(tmp_path / "file"), _write("mine"))
    assert other.read_text() == "of somebody else"
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_the_file_as_it_was_and_says_what_to_do(tmp_path):
    def write_to_full_disk(path):
        with open("/dev/full", "w") as file:
            file.write("x")

    path = tmp_path / "file"
    path.write_text("before")
    message = (
        r"file could not be written: .*No space left on device\. Everything finished before is intact\. Free the disk"
    )
    with pytest.raises(OSError, match=message):
        write_atomically(str(path), write_to_full_disk)
    assert path.read_text() == "before"


def test_a_directory_that_cannot_be_written_is_an_error_that_names_the_file():
    with pytest.raises(OSError, match=r"/proc/self/file could not be written: .*mend the permissions, then start"):
        write_atomically("/proc/self/file", _write("x"))


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    make_directory(str(tmp_path / "a" / "b"))
    make_directory(str(tmp_path / "a" / "b"))
    (tmp_path / "file").touch()
    for path in ("/proc/self/run", str(tmp_path / "file" / "run")):
        with pytest.raises(OSError, match=rf"directory {path} could not be made: .*\. Mend the permissions"):
            make_directory(path)


def test_names_are_matched_as_a_whole_whatever_the_directory_is_called(tmp_path):
    directory = tmp_path / "[a]*"
    directory.mkdir()
    for name in ("shard-1", "shard-2", "shard-10.tmp", "other"):
        (directory / name).touch()
    (directory / "shard-3").mkdir()
    assert matching_names(str(directory), r"shard-\d") == ["shard-1", "shard-2", "shard-3"]
    assert matching_names(str(tmp_path / "absent"), ".*") == []


def test_removing_what_is_not_there_does_nothing(tmp_path):
    remove_if_there(str(tmp_path / "absent"))
    (tmp_path / "there").write_text("x")
    remove_if_there(str(tmp_path / "there"))
    assert list(tmp_path.iterdir()) == []
