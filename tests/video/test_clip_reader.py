import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.video.clip_reader import ClipReader, read_clip
from tests.video.written_clips import numbered_frames, numbers_of, write_video


def write_frames(folder, frames):
    for number, frame in enumerate(frames):
        tf.io.write_file(str(folder / f"frame{number}.png"), tf.io.encode_png(frame))


def test_a_folder_of_frames_is_read_as_a_video_is(tmp_path):
    frames = numbered_frames(23)
    write_frames(tmp_path / "folder", frames)
    write_video(tmp_path / "clip.mp4", frames)
    for num_frames in (3, 23, 40):
        clips = [
            read_clip(tmp_path / name, num_frames=num_frames, frame_size=(12, 16)) for name in ("folder", "clip.mp4")
        ]
        assert clips[0].shape == clips[1].shape == (num_frames, 12, 16, 3)
        assert clips[0].dtype == np.uint8
        assert numbers_of(clips[0]) == numbers_of(clips[1])


def test_frames_of_several_kinds_and_sizes_make_a_clip(tmp_path):
    grey = tf.constant(np.full((20, 30, 1), 90, np.uint8))
    clear = tf.constant(np.full((10, 10, 4), 90, np.uint8))
    tf.io.write_file(str(tmp_path / "1.jpg"), tf.io.encode_jpeg(tf.repeat(grey, 3, axis=-1)))
    tf.io.write_file(str(tmp_path / "2.png"), tf.io.encode_png(grey))
    tf.io.write_file(str(tmp_path / "3.png"), tf.io.encode_png(clear))
    tf.io.write_file(str(tmp_path / "100%d.jpeg"), tf.io.encode_jpeg(grey))
    clip = read_clip(tmp_path, num_frames=4, frame_size=8)
    np.testing.assert_allclose(clip, 90, atol=2)


def test_only_the_frames_that_are_taken_need_be_readable(tmp_path):
    write_frames(tmp_path, numbered_frames(9))
    (tmp_path / "frame0.png").write_bytes(b"")
    assert numbers_of(read_clip(tmp_path, num_frames=3, frame_size=8)) == [1, 4, 7]
    with pytest.raises(
        ValueError, match=r"`path` must be .*can be read\. Received: .*: its frame frame0\.png cannot be"
    ):
        read_clip(tmp_path, num_frames=9, frame_size=8)


def test_short_clips_are_refused(tmp_path):
    write_frames(tmp_path / "one", numbered_frames(1))
    with pytest.raises(ValueError, match=r"it has 1 frame, fewer than min_frames=2"):
        read_clip(tmp_path / "one", num_frames=3, frame_size=8)
    assert len(read_clip(tmp_path / "one", num_frames=3, frame_size=8, min_frames=1)) == 3


@pytest.mark.parametrize("path", ["nowhere.mp4", 3, None])
def test_a_path_of_nothing_is_refused(path):
    with pytest.raises(ValueError, match=r"`path` must be that of a video or of a folder of frames\. Received: path="):
        read_clip(path, num_frames=3, frame_size=8)


@pytest.mark.parametrize("value", [0, -1, 1.5, "8", None, True])
@pytest.mark.parametrize("name", ["num_frames", "min_frames", "frame_size"])
def test_sizes_are_checked(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must be a positive integer.* Received: {name}="):
        ClipReader(**{"num_frames": 4, "frame_size": 8, "min_frames": 2, name: value})


def test_one_integer_is_a_square():
    assert ClipReader(4, 8).shape == (4, 8, 8, 3)
    assert ClipReader(4, (8, 9)).shape == (4, 8, 9, 3)
