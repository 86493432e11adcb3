import importlib
import math
import struct

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.video import decoding
from keras_noisy_student.video.decoding import BrokenClipError, decode_image, decode_video
from tests.video.written_clips import av, cut, numbered_frames, numbers_of, turn, write_sound, write_video

FORMATS = [
    ("clip.mp4", {"codec": "h264"}),
    ("faststart.mp4", {"codec": "mpeg4", "rate": 25, "options": {"movflags": "faststart"}}),
    ("fragmented.mp4", {"codec": "h264", "options": {"movflags": "frag_keyframe+empty_moov"}}),
    ("clip.mov", {"codec": "h264", "rate": 12, "options": {"movflags": "faststart"}}),
    ("clip.avi", {"codec": "mpeg4"}),
    ("motion.avi", {"codec": "mjpeg", "pixels": "yuvj420p", "rate": 12}),
    ("clip.mkv", {"codec": "h264", "rate": 25}),
    ("sound.mkv", {"codec": "mpeg4", "sound_seconds": 2.0}),
    ("sound.mp4", {"codec": "h264", "sound_seconds": 4.0, "options": {"movflags": "faststart"}}),
    ("clip.webm", {"codec": "libvpx"}),
    ("clip.flv", {"codec": "flv1"}),
    ("clip.ts", {"codec": "mpeg2video"}),
]
# They do not say how long they are.
WITHOUT_LENGTH = {"clip.ts"}


def decode(path, *, num_frames=5, frame_size=(12, 16), min_frames=2):
    return decode_video(str(path), num_frames=num_frames, frame_size=frame_size, min_frames=min_frames)


def middles(num_frames, num_segments):
    return [math.floor((place + 0.5) * num_frames / num_segments) for place in range(num_segments)]


@pytest.mark.parametrize(("name", "settings"), FORMATS)
def test_frames_are_those_in_the_middle_of_equal_segments(tmp_path, name, settings):
    write_video(tmp_path / name, numbered_frames(40, height=50, width=66), **settings)
    clip = decode(tmp_path / name)
    assert clip.shape == (5, 12, 16, 3)
    assert clip.dtype == np.uint8
    assert numbers_of(clip) == middles(40, 5)
    assert len(decode(tmp_path / name, num_frames=40, min_frames=40)) == 40


@pytest.mark.parametrize(("name", "settings"), [case for case in FORMATS if case[0] not in WITHOUT_LENGTH])
def test_a_file_that_was_cut_off_is_refused(tmp_path, name, settings):
    write_video(tmp_path / name, numbered_frames(40), **settings)
    cut(tmp_path / name, 0.7)
    with pytest.raises(BrokenClipError, match=r"it is cut off after \d.\d.* seconds|it cannot be decoded \(\w+"):
        decode(tmp_path / name)


def test_a_file_cut_off_between_two_packets_is_refused_by_its_length(tmp_path):
    path = tmp_path / "clip.mkv"
    write_video(path, numbered_frames(40), codec="mjpeg", pixels="yuvj420p", rate=10)
    cut(path, 0.5)
    with pytest.raises(BrokenClipError, match=r"it is cut off after [12]\.\d of 4\.0 seconds"):
        decode(path)


@pytest.mark.parametrize("num_in_header", [0, 3, 4000])
def test_the_number_of_frames_that_an_avi_file_promises_is_not_believed(tmp_path, num_in_header):
    path = tmp_path / "clip.avi"
    write_video(path, numbered_frames(40), codec="mpeg4")
    content = bytearray(path.read_bytes())
    for place in (content.index(b"avih") + 24, content.index(b"strh") + 40):
        content[place : place + 4] = struct.pack("<I", num_in_header)
    path.write_bytes(content)
    assert numbers_of(decode(path)) == middles(40, 5)


@pytest.mark.parametrize("first_frame", [0, 20])
def test_a_video_that_a_player_shows_in_part_is_read_in_that_part(tmp_path, first_frame):
    path = tmp_path / "clip.mp4"
    write_video(path, numbered_frames(40))
    content = bytearray(path.read_bytes())
    edits = content.index(b"elst") + 12
    seconds, start = struct.unpack(">Ii", content[edits : edits + 8])
    content[edits : edits + 8] = struct.pack(">Ii", seconds // 2, start + first_frame * 512)
    path.write_bytes(content)
    clip = decode(path, num_frames=4)
    np.testing.assert_allclose(numbers_of(clip), first_frame + np.array([2, 7, 12, 17]), atol=1)


def test_frames_at_uneven_times_count_by_their_order(tmp_path):
    times = np.cumsum(np.random.default_rng(0).integers(10, 200, 40))
    write_video(tmp_path / "clip.mkv", numbered_frames(40), times=(times - times[0]))
    assert numbers_of(decode(tmp_path / "clip.mkv")) == middles(40, 5)


def test_a_pause_at_the_end_of_slow_frames_is_no_sign_of_damage(tmp_path):
    write_video(tmp_path / "clip.mkv", numbered_frames(4), times=[0, 1000, 2000, 3000])
    assert numbers_of(decode(tmp_path / "clip.mkv")) == middles(4, 5)


def test_a_stream_without_times_is_read(tmp_path):
    path = tmp_path / "clip.h264"
    write_video(path, numbered_frames(40))
    assert numbers_of(decode(path.rename(tmp_path / "raw.mp4"))) == middles(40, 5)


def test_comments_in_an_unknown_encoding_are_no_reason_to_refuse(tmp_path):
    path = tmp_path / "clip.mkv"
    write_video(path, numbered_frames(6))
    content = path.read_bytes()
    assert b"ENCODER" in content
    path.write_bytes(content.replace(b"Lavf", b"L\xff\xfef"))
    assert len(decode(path)) == 5


@pytest.mark.parametrize("name", ["100%.mp4", "12:30.mp4", "ÄÖ ü.mp4", "[1].mp4", "%03d.mp4"])
def test_any_name_will_do(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", numbered_frames(6))
    (tmp_path / "clip.mp4").rename(name)
    assert len(decode(name)) == 5


def test_of_a_long_video_the_nearest_of_evenly_spaced_frames_are_taken(tmp_path):
    write_video(tmp_path / "clip.mp4", numbered_frames(230, height=16, width=16, step=1), codec="mpeg4")
    numbers = numbers_of(decode(tmp_path / "clip.mp4", num_frames=3), step=1)
    assert np.abs(np.array(numbers) - np.array(middles(230, 3))).max() <= 230 / 3 / 8


@pytest.mark.parametrize("clockwise_quarter", [0, 1, 2, 3])
def test_frames_are_upright(tmp_path, clockwise_quarter):
    frames = np.zeros((4, 32, 64, 3), np.uint8)
    frames[:, :16, :32] = 250
    write_video(tmp_path / "clip.mp4", frames, codec="mpeg4")
    if clockwise_quarter:
        turn(tmp_path / "clip.mp4", clockwise_quarter=clockwise_quarter)
    corner = np.zeros((2, 2))
    corner[0, 0] = 1
    clip = decode(tmp_path / "clip.mp4", frame_size=(20, 10))
    quarters = clip.reshape(5, 2, 10, 2, 5, 3).mean(axis=(0, 2, 4, 5)) / 250
    np.testing.assert_allclose(quarters, np.rot90(corner, -clockwise_quarter), atol=0.03)


def test_images_are_upright_and_resized_by_the_mean_over_the_area_of_a_pixel(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (48, 96, 3)).astype(np.uint8)
    write_image(tmp_path / "image.png", image)
    resized = decode_image(str(tmp_path / "image.png"), frame_size=(12, 16))
    expected = image.reshape(12, 4, 16, 6, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resized, expected, atol=2)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "cannot be decoded"), (b"hello\n" * 100, "cannot be decoded"), (None, r"cannot be decoded \(Is a dir")],
)
def test_a_frame_that_is_no_image_is_refused(tmp_path, content, why):
    path = tmp_path / "7.png"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(BrokenClipError, match=rf"its frame 7\.png {why}"):
        decode_image(str(path), frame_size=(12, 16))


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_a_frame_that_was_cut_off_is_refused(tmp_path, kind):
    image = np.random.default_rng(0).integers(0, 256, (48, 96, 3)).astype(np.uint8)
    content = tf.io.encode_jpeg(image, quality=95, progressive=kind == "progressive").numpy()
    path = tmp_path / "7.jpg"
    path.write_bytes(content)
    expected = image.reshape(3, 16, 3, 32, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(decode_image(str(path), frame_size=(3, 3)), expected, atol=3)
    for part in (0.3, 0.5, 0.6, 0.9):
        path.write_bytes(content[: int(part * len(content))])
        with pytest.raises(BrokenClipError, match=r"its frame 7\.jpg cannot be decoded \(Invalid data"):
            decode_image(str(path), frame_size=(3, 3))


@pytest.mark.parametrize("content", [b"", b"hello\n" * 100, bytes(range(256)) * 20])
def test_a_file_that_is_no_video_is_refused(tmp_path, content):
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(BrokenClipError, match=r"it cannot be decoded \(Invalid data found"):
        decode(tmp_path / "clip.mp4")


def test_a_file_of_sound_alone_is_refused(tmp_path):
    write_sound(tmp_path / "clip.mp4")
    with pytest.raises(BrokenClipError, match="it holds no video that can be decoded"):
        decode(tmp_path / "clip.mp4")


def test_a_file_with_damage_in_its_middle_is_refused(tmp_path):
    path = tmp_path / "clip.avi"
    write_video(path, numbered_frames(40), codec="mjpeg", pixels="yuvj420p")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 900] = np.random.default_rng(0).integers(0, 256, 900).astype(np.uint8).tobytes()
    path.write_bytes(content)
    with pytest.raises(BrokenClipError):
        decode(path)


def test_a_short_video_is_refused(tmp_path):
    write_video(tmp_path / "clip.mp4", numbered_frames(3))
    assert len(decode(tmp_path / "clip.mp4", min_frames=3)) == 5
    with pytest.raises(BrokenClipError, match="it has 3 frames, fewer than min_frames=4"):
        decode(tmp_path / "clip.mp4", min_frames=4)
    write_video(tmp_path / "clip.mp4", numbered_frames(1))
    with pytest.raises(BrokenClipError, match="it has 1 frame, fewer than min_frames=2"):
        decode(tmp_path / "clip.mp4")


def test_without_the_library_the_extra_is_named(monkeypatch):
    def refuse(name, *arguments):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ImportError, match=r'Reading clips needs PyAV.* `pip install "keras-noisy-student\[video\]"`'):
        decoding.library()


def write_image(path, image):
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
