import importlib
import os
import pathlib
import warnings

import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.data_checks import labeled_source, same_examples_source
from tests.video.written_clips import cut, numbered_frames, numbers_of, write_sound, write_video

SETTINGS = {"num_frames": 4, "frame_size": (12, 16)}


@pytest.fixture
def directory(tmp_path):
    """Clips of another size, frame rate, codec and container each."""
    clips = [
        ("glad/ann.mp4", 8, {"codec": "h264"}),
        ("glad/bob.avi", 12, {"codec": "mpeg4", "rate": 12}),
        ("sad/ann.mkv", 16, {"codec": "mjpeg", "pixels": "yuvj420p", "rate": 25}),
    ]
    for place, (path, num_frames, settings) in enumerate(clips):
        (tmp_path / "clips" / path).parent.mkdir(parents=True, exist_ok=True)
        frames = numbered_frames(num_frames, height=50 + 10 * place, width=66 + 22 * place)
        write_video(tmp_path / "clips" / path, frames, **settings)
    return tmp_path / "clips"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text(
        "path,label,subject\nclips/sad/ann.mkv,2,ann\nclips/glad/bob.avi,1,bob\nclips/glad/ann.mp4,2,ann\nother/x.mp4,,\n"
    )
    return path


def break_some(directory):
    """Adds clips of every kind that cannot be taken; returns why, by their paths."""
    (directory / "new").mkdir()
    (directory / "new" / "empty.mp4").write_bytes(b"")
    (directory / "new" / "text.avi").write_text("hello\n" * 30)
    write_sound(directory / "new" / "sound.mp4")
    write_video(directory / "new" / "short.mp4", numbered_frames(1))
    write_video(directory / "new" / "cut.mkv", numbered_frames(40), codec="mjpeg", pixels="yuvj420p", rate=10)
    cut(directory / "new" / "cut.mkv", 0.5)
    return {
        "new/cut.mkv": "it is cut off after 2.0 of 4.0 seconds",
        "new/empty.mp4": "it cannot be decoded (Invalid data found when processing input)",
        "new/short.mp4": "it has 1 frame, fewer than min_frames=2",
        "new/sound.mp4": "it holds no video that can be decoded",
        "new/text.avi": "it cannot be decoded (Invalid data found when processing input)",
    }


def check_clips(folder):
    assert folder.paths.tolist() == ["glad/ann.mp4", "glad/bob.avi", "sad/ann.mkv"]
    assert folder.clips.shape == (3, 4, 12, 16, 3)
    assert folder.clips.dtype == np.uint8
    assert [numbers_of(clip) for clip in folder.clips] == [[1, 3, 5, 7], [1, 4, 7, 10], [2, 6, 10, 14]]
    assert folder.skipped == {}


def test_clips_without_labels(directory):
    folder = kns.video.clips_from_folder(directory, **SETTINGS)
    check_clips(folder)
    assert (folder.labels, folder.class_names, folder.columns) == (None, (), {})


def test_labels_from_folders(directory):
    folder = kns.video.clips_from_folder(str(directory), **SETTINGS, labels="folders")
    check_clips(folder)
    assert folder.labels.tolist() == [0, 0, 1]
    assert folder.class_names == ("glad", "sad")


def test_labels_from_a_csv_file(directory, table):
    folder = kns.video.clips_from_folder(directory, **SETTINGS, labels=table)
    check_clips(folder)
    assert folder.labels.tolist() == [1, 0, 1]
    assert folder.class_names == ("1", "2")
    assert folder.columns["subject"].tolist() == ["ann", "bob", "ann"]


def test_they_are_data_for_fit_rounds(directory):
    folder = kns.video.clips_from_folder(directory, **SETTINGS, labels="folders")
    labeled = labeled_source((folder.clips, folder.labels), kns.Classification(2), name="labeled")
    same_examples_source(folder.clips, labeled.element_spec[0], name="unlabeled")


def test_a_cache_serves_any_labels(directory, table, tmp_path, monkeypatch):
    cache = tmp_path / "cache.npy"
    kns.video.clips_from_folder(directory, **SETTINGS, cache=cache)
    monkeypatch.setattr("keras_noisy_student.video.clip_reader.decode_video", None)
    folder = kns.video.clips_from_folder(directory, **SETTINGS, labels=table, cache=cache)
    check_clips(folder)
    assert isinstance(folder.clips, np.memmap)
    assert folder.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("is_cached", [False, True])
def test_broken_clips_are_left_out_of_a_folder_without_labels_by_name(directory, tmp_path, is_cached):
    skipped = break_some(directory)
    for _ in range(1 + is_cached):
        with pytest.warns(UserWarning, match=r"5 clips of .*clips were left out:\n  new/cut\.mkv: it is ") as caught:
            folder = kns.video.clips_from_folder(directory, **SETTINGS, cache=tmp_path / "c.npy" if is_cached else None)
        (warning,) = caught
        assert pathlib.Path(warning.filename) == pathlib.Path(__file__)
        assert all(f"\n  {path}: {why}" in str(warning.message) for path, why in skipped.items())
        assert folder.skipped == skipped
        assert len(folder.paths) == len(folder.clips) == 3


def test_broken_clips_that_have_labels_are_refused_by_name(directory):
    skipped = break_some(directory)
    with pytest.raises(
        ValueError, match=r"must hold clips that can be read.*Received: .*clips with 5 that cannot:"
    ) as caught:
        kns.video.clips_from_folder(directory, **SETTINGS, labels="folders")
    assert all(f"\n  {path}: {why}" in str(caught.value) for path, why in skipped.items())
    assert "\nMend these clips, or move them elsewhere with their labels" in str(caught.value)


def test_a_folder_of_broken_clips_alone_is_refused(directory):
    break_some(directory)
    with pytest.raises(ValueError, match=r"must hold clips that can be read.* with 5 that cannot:"):
        kns.video.clips_from_folder(directory / "new", **SETTINGS)


def test_short_clips_are_taken_by_a_smaller_minimum(directory):
    with pytest.warns(UserWarning, match=r"glad/ann\.mp4: it has 8 frames, fewer than min_frames=9"):
        folder = kns.video.clips_from_folder(directory, **SETTINGS, min_frames=9)
    assert folder.paths.tolist() == ["glad/bob.avi", "sad/ann.mkv"]


@pytest.mark.parametrize("directory", ["nowhere", 3, None, __file__])
def test_another_directory_is_refused(directory):
    with pytest.raises(ValueError, match=r"`directory` must be the path of a folder\. Received: directory="):
        kns.video.clips_from_folder(directory, **SETTINGS)


@pytest.mark.parametrize("cache", ["cache", "cache.npz", 3, ""])
def test_another_cache_is_refused(directory, cache):
    with pytest.raises(ValueError, match=r"`cache` must be the path of a \.npy file, or None\. Received: cache="):
        kns.video.clips_from_folder(directory, **SETTINGS, cache=cache)


@pytest.mark.parametrize("labels", [True, 3, ["glad"], "nowhere.csv"])
def test_other_labels_are_refused(directory, labels):
    with pytest.raises(
        ValueError, match=r'`labels` must be None, "folders" or the path of a CSV file\. Received: labels='
    ):
        kns.video.clips_from_folder(directory, **SETTINGS, labels=labels)


def test_without_the_library_the_extra_is_named(directory, monkeypatch):
    def refuse(name, *arguments):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ImportError, match=r"keras-noisy-student\[video\]"):
        kns.video.clips_from_folder(directory, **SETTINGS)


@pytest.mark.slow
def test_facial_expressions():
    if "KNS_DATA_DIR" not in os.environ:
        pytest.skip("needs the clips of facial expressions: KNS_DATA_DIR says where their folder `face_clips` is")
    data_dir = pathlib.Path(os.environ["KNS_DATA_DIR"]) / "face_clips"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = kns.video.clips_from_folder(
            data_dir / "labeled", num_frames=8, frame_size=48, labels=data_dir / "clips.csv"
        )
    assert repr(folder) == "ClipFolder: 440 clips of 8 frames of 48 x 48, 8 classes, columns subject, 0 skipped"
    assert np.bincount(folder.labels).tolist() == [55] * 8
    assert len(set(folder.columns["subject"].tolist())) == 11
    names = [path.split("__")[0] for path in folder.paths]
    assert names == [folder.class_names[label] for label in folder.labels]
    is_still = folder.labels == folder.class_names.index("neutral")
    movement = np.abs(np.diff(folder.clips.astype(np.float32), axis=1)).mean(axis=(1, 2, 3, 4))
    assert movement[is_still].mean() < movement[~is_still].mean()
