import os

import pytest

from keras_noisy_student.video.clip_files import file_states, find_clips, frame_files


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


def test_videos_and_folders_of_images_at_any_depth_are_clips_in_sorted_order(tmp_path):
    touch(tmp_path, "b.mp4", "a/z.MOV", "a/y/3.png", "a/y/4.JPG", "a/k/l/m.webm", "B.avi")
    assert find_clips(str(tmp_path)) == ["B.avi", "a/k/l/m.webm", "a/y", "a/z.MOV", "b.mp4"]


def test_other_files_are_none(tmp_path):
    touch(
        tmp_path,
        "b.mp4",
        "clips.csv",
        "README",
        "mp4",
        "cover.png",
        "._b.mp4",
        ".cache/c.mp4",
        "a/thumb.png",
        "a/a.mp4",
    )
    assert find_clips(str(tmp_path)) == ["a/a.mp4", "b.mp4"]


def test_links_to_files_are_followed_and_those_to_folders_are_not(tmp_path):
    touch(tmp_path, "else/a.mp4", "here/b.mp4")
    os.symlink(tmp_path / "else", tmp_path / "here" / "folder")
    os.symlink(tmp_path / "else" / "a.mp4", tmp_path / "here" / "c.mp4")
    assert find_clips(str(tmp_path / "here")) == ["b.mp4", "c.mp4"]


def test_a_folder_without_clips_is_refused(tmp_path):
    touch(tmp_path, "1.png", "clips.csv")
    message = (
        r"`directory` must hold clips: videos \(\.3gp, .*\) or folders of images \(.*\.png.*\)\. Received: .*none\."
    )
    with pytest.raises(ValueError, match=message):
        find_clips(str(tmp_path))


def test_frames_are_in_the_order_of_the_numbers_in_their_names(tmp_path):
    names = ["f1.png", "f2.png", "f010.png", "f10.png", "f11b2.png", "f11b10.png", "g.png", "g1.png"]
    touch(tmp_path, *reversed(names), "notes.txt", ".f3.png")
    found = [os.path.basename(path) for path in frame_files(str(tmp_path))]
    assert found == names


def test_a_clip_has_changed_when_the_size_or_time_of_a_file_has(tmp_path):
    touch(tmp_path, "a.mp4", "b/1.png", "b/2.png")
    video, frames = str(tmp_path / "a.mp4"), str(tmp_path / "b")
    before = file_states(video), file_states(frames)
    assert [name for name, _, _ in before[1]] == ["1.png", "2.png"]
    assert (file_states(video), file_states(frames)) == before
    os.utime(video, ns=(1, 1))
    (tmp_path / "b" / "2.png").write_bytes(b"xy")
    assert file_states(video) != before[0]
    assert file_states(frames) != before[1]
