import os

import numpy as np
import pytest

from keras_noisy_student.video.clip_labels import csv_labels, folder_labels, listed

PATHS = ["a.mp4", "b/1.mp4", "b/2"]


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


def table(tmp_path, text, *, encoding="utf-8"):
    (tmp_path / "clips.csv").write_text(text, encoding=encoding)
    return str(tmp_path / "clips.csv")


def test_classes_are_the_sorted_names_of_the_sub_folders():
    known = folder_labels(["sad/x.mp4", "glad/deep/y.mp4", "sad/z"])
    np.testing.assert_array_equal(known.labels, [1, 0, 1])
    assert known.labels.dtype == np.int32
    assert known.class_names == ("glad", "sad")
    assert known.columns == {}


def test_clips_in_no_sub_folder_are_refused():
    message = r"in a sub-folder named after its class.*Received: x\.mp4, y in no such folder\..* CSV file"
    with pytest.raises(ValueError, match=message):
        folder_labels(["x.mp4", "sad/z.mp4", "y"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_file_gives_labels_and_other_columns_in_the_order_of_the_clips(tmp_path, directory, encoding):
    path = table(
        tmp_path,
        'path,subject,label,note\nclips/b/2,bob,glad,"one, two"\nclips/a.mp4,änn,sad,\n'
        "clips/./b/1.mp4,änn,glad,x\nelsewhere/c.mp4,,,\n../clips2/d.mp4,,sad,\n",
        encoding=encoding,
    )
    known = csv_labels(path, str(directory), PATHS)
    np.testing.assert_array_equal(known.labels, [1, 0, 0])
    assert known.labels.dtype == np.int32
    assert known.class_names == ("glad", "sad")
    assert {name: values.tolist() for name, values in known.columns.items()} == {
        "subject": ["änn", "änn", "bob"],
        "note": ["", "x", "one, two"],
    }


def test_paths_are_relative_to_the_folder_of_the_csv_file(tmp_path, directory, monkeypatch):
    path = table(tmp_path, f"path,label\n{directory}/a.mp4,x\nclips/b/1.mp4,y\nclips/b/2,x\n")
    monkeypatch.chdir(directory)
    assert csv_labels("../clips.csv", ".", PATHS).labels.tolist() == [0, 1, 0]
    assert csv_labels(path, str(directory), PATHS).labels.tolist() == [0, 1, 0]


def test_folders_may_be_links(tmp_path):
    (tmp_path / "disk" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere.mp4").write_bytes(b"")
    os.symlink(tmp_path / "elsewhere.mp4", tmp_path / "disk" / "a.mp4")
    os.symlink(tmp_path / "disk", tmp_path / "clips")
    path = table(tmp_path, "path,label\nclips/a.mp4,x\nclips/b/1.mp4,y\ndisk/b/2,x\nelsewhere.mp4,z\n")
    for directory in (tmp_path / "clips", tmp_path / "disk"):
        assert csv_labels(path, str(directory), PATHS).labels.tolist() == [0, 1, 0]
    twice = table(tmp_path, "path,label\nclips/a.mp4,x\ndisk/a.mp4,y\n")
    with pytest.raises(ValueError, match=r"one row in .*Received: several of 'disk/a\.mp4'\."):
        csv_labels(twice, str(tmp_path / "clips"), PATHS)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "path,class\n",
            r"with the columns `path` and `label`\. Received: .*clips\.csv with the columns \['path', 'class'",
        ),
        ("", r"with the columns `path` and `label`\. Received: .*columns \[\]"),
        (
            "path,label\nclips/a.mp4,x\nclips/b/1.mp4,y\n",
            r"row with a label in .*clips\.csv\. Received: none for b/2\. Add",
        ),
        ("path,label\nclips/a.mp4,\nclips/b/1.mp4,y\nclips/b/2\n", r"Received: none for a\.mp4, b/2\."),
        (
            "path,label\nclips/no.mp4,x\nclips/b,y\n",
            r"must name a clip.*Received: b, no\.mp4 below .*which are none\. Mend",
        ),
        ("path,label\nclips/a.mp4,x\nclips//a.mp4,y\n", r"one row in .*Received: several of 'clips//a\.mp4'\."),
        ("path,label\nclips/a.mp4,x,y\n", r"as many cells as its head\. Received: more for clips/a\.mp4\. Quote"),
        ('path,label\nclips/a.mp4,"x"y\n', r"a CSV file in UTF-8\. Received: .*clips\.csv: "),
    ],
)
def test_a_csv_file_that_does_not_fit_is_refused(tmp_path, directory, rows, message):
    with pytest.raises(ValueError, match=message):
        csv_labels(table(tmp_path, rows), str(directory), PATHS)


def test_another_encoding_is_refused(tmp_path, directory):
    path = table(tmp_path, "path,label\nclips/ä.mp4,x\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"a CSV file in UTF-8\. Received: .*clips\.csv: .*can't decode"):
        csv_labels(path, str(directory), PATHS)


@pytest.mark.parametrize("name", ["folder", "nowhere.csv", "clips"])
def test_a_path_of_no_file_is_refused(tmp_path, directory, name):
    message = r'`labels` must be None, "folders" or the path of a CSV file\. Received: .*where there is no file'
    with pytest.raises(ValueError, match=message):
        csv_labels(str(tmp_path / name), str(directory), PATHS)


def test_long_lists_are_shortened():
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(13))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
