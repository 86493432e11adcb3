import dataclasses
import io
import os
import pathlib

import numpy as np
import pytest

from keras_noisy_student.video import decoded_clips
from keras_noisy_student.video.clip_reader import ClipReader
from keras_noisy_student.video.decoded_clips import cached_clips, decode_clips
from tests.damage import delete, truncate
from tests.video.written_clips import numbered_frames, numbers_of, write_video

READER = ClipReader(4, (8, 10))
# Of the clips below, the second is broken and the fourth too short.
PATHS = ["a.mp4", "b.mp4", "c.avi", "d.mp4", "e.mkv"]
SKIPPED = {
    "b.mp4": "it cannot be decoded (Invalid data found when processing input)",
    "d.mp4": "it has 1 frame, fewer than min_frames=2",
}


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "clips").mkdir()
    for path, num_frames in zip(PATHS, [4, 0, 8, 1, 12], strict=True):
        if num_frames:
            write_video(tmp_path / "clips" / path, numbered_frames(num_frames), codec="mpeg4")
        else:
            (tmp_path / "clips" / path).write_bytes(b"")
    return str(tmp_path / "clips")


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "deep" / "clips.npy")


def check_is_complete(decoded):
    assert decoded.kept == [0, 2, 4]
    assert decoded.skipped == SKIPPED
    assert decoded.clips.dtype == np.uint8
    assert decoded.clips.shape == (3, *READER.shape)
    assert [numbers_of(clip) for clip in decoded.clips] == [[0, 1, 2, 3], [1, 3, 5, 7], [1, 4, 7, 10]]


def count_reads(monkeypatch):
    reads = []
    read = ClipReader.read
    monkeypatch.setattr(ClipReader, "read", lambda self, path: reads.append(path) or read(self, path))
    return reads


def test_clips_are_decoded_in_order_and_broken_ones_are_named(directory):
    check_is_complete(decode_clips(directory, PATHS, READER))


def test_many_clips_keep_their_order(tmp_path):
    for number in range(30):
        write_video(
            tmp_path / f"{number:02}.avi", numbered_frames(2) + np.uint8(6 * number), codec="mjpeg", pixels="yuvj420p"
        )
    decoded = decode_clips(str(tmp_path), [f"{number:02}.avi" for number in range(30)], READER)
    assert [numbers_of(clip)[0] for clip in decoded.clips] == list(range(30))


def test_a_cache_is_decoded_once_and_mapped(directory, cache, monkeypatch):
    first = cached_clips(cache, directory, PATHS, READER)
    check_is_complete(first)
    reads = count_reads(monkeypatch)
    again = cached_clips(cache, directory, PATHS, READER)
    check_is_complete(again)
    assert reads == []
    for clips in (first.clips, again.clips, np.load(cache, mmap_mode="r")):
        assert isinstance(clips, np.memmap)
        assert not clips.flags.writeable
        np.testing.assert_array_equal(clips, decode_clips(directory, PATHS, READER).clips)
    saved = io.BytesIO()
    np.save(saved, first.clips)
    assert pathlib.Path(cache).read_bytes() == saved.getvalue()
    assert sorted(os.listdir(os.path.dirname(cache))) == ["clips.npy", "clips.npy.json"]


@pytest.mark.parametrize("change", [{"num_frames": 3}, {"frame_size": (10, 8)}, {"min_frames": 5}])
def test_other_settings_decode_again(directory, cache, monkeypatch, change):
    cached_clips(cache, directory, PATHS, READER)
    reads = count_reads(monkeypatch)
    reader = dataclasses.replace(READER, **change)
    decoded = cached_clips(cache, directory, PATHS, reader)
    assert len(reads) == len(PATHS)
    np.testing.assert_array_equal(decoded.clips, decode_clips(directory, PATHS, reader).clips)


def test_changed_clips_decode_again(directory, cache, monkeypatch):
    cached_clips(cache, directory, PATHS, READER)
    reads = count_reads(monkeypatch)
    write_video(f"{directory}/b.mp4", numbered_frames(4), codec="mpeg4")
    assert cached_clips(cache, directory, PATHS, READER).kept == [0, 1, 2, 4]
    assert cached_clips(cache, directory, PATHS[:3], READER).kept == [0, 1, 2]
    assert len(reads) == 8


@pytest.mark.parametrize("name", ["clips.npy", "clips.npy.json"])
@pytest.mark.parametrize("damage", [truncate, delete])
def test_a_damaged_cache_is_made_again(directory, cache, name, damage):
    cached_clips(cache, directory, PATHS, READER)
    damage(os.path.join(os.path.dirname(cache), name))
    check_is_complete(cached_clips(cache, directory, PATHS, READER))


def test_an_array_of_another_shape_in_its_place_is_not_taken(directory, cache):
    cached_clips(cache, directory, PATHS, READER)
    np.save(cache, np.zeros((4, *READER.shape), np.uint8))
    check_is_complete(cached_clips(cache, directory, PATHS, READER))


def test_whoever_is_stopped_in_between_leaves_no_cache_that_is_described_as_another_one(directory, cache, monkeypatch):
    cached_clips(cache, directory, PATHS, READER)

    def stop(path, content):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr("keras_noisy_student.video.decoded_clips.write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            cached_clips(cache, directory, PATHS[::-1], READER)
    assert numbers_of(np.load(cache)[0]) == [1, 4, 7, 10]
    check_is_complete(cached_clips(cache, directory, PATHS, READER))


def test_a_cache_grows_with_what_is_decoded(directory, cache, monkeypatch):
    sizes = []
    read = ClipReader.read
    monkeypatch.setattr(
        ClipReader, "read", lambda self, path: sizes.append(os.path.getsize(f"{cache}.tmp")) or read(self, path)
    )
    cached_clips(cache, directory, PATHS, READER)
    assert max(sizes) < os.path.getsize(cache)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_an_error_that_names_the_cache(directory, cache, monkeypatch):
    monkeypatch.setattr(decoded_clips, "open", lambda path, mode: io.FileIO("/dev/full", mode), raising=False)
    with pytest.raises(OSError, match=r"clips\.npy could not be written: .*No space left on device"):
        cached_clips(cache, directory, PATHS, READER)
    assert os.listdir(os.path.dirname(cache)) == []


def test_integers_of_numpy_serve_too(directory, cache):
    reader = ClipReader(np.int32(4), (np.int64(8), np.int16(10)), np.int64(2))
    assert reader == READER
    check_is_complete(cached_clips(cache, directory, PATHS, reader))


def test_a_cache_of_nothing_is_one_too(directory, cache):
    for _ in range(2):
        decoded = cached_clips(cache, directory, ["b.mp4"], READER)
        assert decoded.clips.shape == (0, *READER.shape)
        assert decoded.skipped == {"b.mp4": SKIPPED["b.mp4"]}
