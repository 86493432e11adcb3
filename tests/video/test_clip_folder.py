import dataclasses

import numpy as np
import pytest

from keras_noisy_student.video.clip_folder import ClipFolder

CLIPS = np.arange(4, dtype=np.uint8)[:, None, None, None, None] * np.ones((4, 2, 5, 6, 3), np.uint8)
FOLDER = ClipFolder(
    clips=CLIPS,
    labels=np.array([1, 0, 1, 2], np.int32),
    class_names=("a", "b", "c"),
    paths=np.array(["p", "q", "r", "s"]),
    columns={"subject": np.array(["x", "y", "x", "z"])},
    skipped={"t": "it is broken"},
)


@pytest.mark.parametrize("is_wanted", [FOLDER.columns["subject"] == "x", [True, False, True, False], [0, 2], [0, -2]])
def test_a_subset_has_the_same_rows_of_everything_and_the_same_class_ids(is_wanted):
    subset = FOLDER.subset(is_wanted)
    assert subset.clips[:, 0, 0, 0, 0].tolist() == [0, 2]
    assert subset.labels.tolist() == [1, 1]
    assert subset.labels.dtype == np.int32
    assert subset.class_names == FOLDER.class_names
    assert subset.paths.tolist() == ["p", "r"]
    assert subset.columns["subject"].tolist() == ["x", "x"]
    assert subset.skipped == FOLDER.skipped
    assert len(subset) == 2


def test_a_subset_without_labels_has_none():
    assert dataclasses.replace(FOLDER, labels=None, class_names=()).subset([1]).labels is None


@pytest.mark.parametrize("is_wanted", [[True, False], [4], [-5], ["p"], [[0, 1]], 1, None, [0.5], [[True] * 4]])
def test_anything_else_is_refused_as_a_subset(is_wanted):
    with pytest.raises(
        ValueError, match=r"`is_wanted` must be 4 bools, one for each clip, or places below 4\. Received: "
    ):
        FOLDER.subset(is_wanted)


@pytest.mark.parametrize("is_wanted", [[False] * 4, np.array([], int)])
def test_an_empty_subset_is_refused(is_wanted):
    with pytest.raises(ValueError, match=r"`is_wanted` must leave a clip\. Received: none\."):
        FOLDER.subset(is_wanted)


def test_it_says_what_it_holds():
    assert repr(FOLDER) == "ClipFolder: 4 clips of 2 frames of 5 x 6, 3 classes, columns subject, 1 skipped"
    without = ClipFolder(clips=CLIPS, labels=None, class_names=(), paths=FOLDER.paths)
    assert repr(without) == "ClipFolder: 4 clips of 2 frames of 5 x 6, no labels, 0 skipped"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": CLIPS.astype("float32")}, r"`clips` must be uint8 .*Received: float32 \(4, 2, 5, 6, 3\)"),
        ({"clips": CLIPS[0]}, r"`clips` must be uint8 .*Received: uint8 \(2, 5, 6, 3\)"),
        ({"clips": CLIPS[:0]}, r"`clips` must be .*of one clip or more\. Received: uint8 \(0, 2, 5, 6, 3\)"),
        ({"labels": np.array([1])}, r"`labels` must have one entry for each of the 4 clips\. Received: shape \(1,\)"),
        (
            {"labels": np.array([1, 0, 3, -1])},
            r"`labels` must be places in the 3 `class_names`, integers in \[0, 3\)\. Received: labels from -1 to 3\.",
        ),
        ({"labels": np.array([1, 0, 3, 2])}, r"Received: labels from 0 to 3\. Of .*`np\.unique\(names, return_inverse"),
        ({"labels": np.array([1, 0, -1, 2])}, r"Received: labels from -1 to 2\."),
        ({"labels": np.array([1.0, 0.0, 1.0, 2.0])}, r"integers in \[0, 3\)\. Received: dtype float64\."),
        ({"labels": np.array(["b", "a", "b", "c"])}, r"Received: dtype <U1\."),
        ({"class_names": ()}, r"places in the 0 `class_names`, .*Received: labels from 0 to 2\."),
        ({"paths": np.array(["p"])}, r"`paths` must have one entry for each of the 4 clips"),
        ({"columns": {"subject": np.array(["p"])}}, r"`subject` must have one entry for each of the 4 clips"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(FOLDER, **change)
