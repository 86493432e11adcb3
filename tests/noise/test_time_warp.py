import functools
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.time_warp import time_warp

_DISTANCE = 4
_LENGTHS = np.array([0, 1, 2, 10, 11, 12, 20, 29, 30, 30, 30, 30], np.int32)
_KEYS = seeds.fold(5, tf.range(len(_LENGTHS)))
_GRAPH = tf.function(functools.partial(time_warp, max_distance=_DISTANCE))
_COMPILED = tf.function(functools.partial(time_warp, max_distance=_DISTANCE), jit_compile=True)


def _features(num=12):
    return np.random.default_rng(0).normal(-3, 2, (num, 30, 5)).astype("float32")


def _drawn_center_and_distance(key, length):
    center_draw, distance_draw = seeds.uniform(tf.reshape(key, [1]), 2).numpy()[0].tolist()
    centers = range(_DISTANCE + 1, length - 1 - _DISTANCE)
    if not centers:
        return None
    return centers[int(center_draw * len(centers))], int(distance_draw * (2 * _DISTANCE + 1)) - _DISTANCE


def _warp_slowly(features, length, key):
    """Frame by frame in fractions, from the same draws."""
    drawn = _drawn_center_and_distance(key, length)
    warped = features.copy()
    for frame in range(length if drawn else 0):
        source = _source(frame, *drawn, last=length - 1)
        left = int(source)
        right = min(left + 1, length - 1)
        part = np.float32(int((source - left) * 4096) / 4096)
        warped[frame] = features[left] + part * (features[right] - features[left])
    return warped


def _source(frame, center, distance, last):
    moved = center + distance
    if frame < moved:
        return Fraction(frame * center, moved)
    return center + Fraction((frame - moved) * (last - center), last - moved)


def test_equals_a_loop_over_the_frames():
    features = _features()
    warped = time_warp(features, _LENGTHS, _KEYS, max_distance=_DISTANCE)
    for index, length in enumerate(_LENGTHS):
        expected = _warp_slowly(features[index], length, _KEYS[index])
        np.testing.assert_array_equal(warped[index], expected, f"length {length}")


@pytest.mark.parametrize("compiled", [_GRAPH, _COMPILED], ids=["graph", "xla"])
def test_compiled_features_are_the_eager_features(compiled):
    lengths, keys = np.linspace(0, 30, 400).astype(np.int32), seeds.fold(9, tf.range(400))
    features = _features(num=400)
    expected = time_warp(features, lengths, keys, max_distance=_DISTANCE)
    np.testing.assert_array_equal(compiled(features, lengths, keys), expected)


def test_the_moved_frame_lands_where_it_was_sent_and_the_ends_stay():
    features = _features()
    warped = time_warp(features, _LENGTHS, _KEYS, max_distance=_DISTANCE).numpy()
    for index in np.flatnonzero(_LENGTHS >= 2 * _DISTANCE + 3):
        last = _LENGTHS[index] - 1
        center, distance = _drawn_center_and_distance(_KEYS[index], _LENGTHS[index])
        for source, target in [(0, 0), (center, center + distance), (last, last)]:
            np.testing.assert_array_equal(warped[index, target], features[index, source])


def test_centers_and_distances_are_uniform():
    num_keys, length = 30_000, 13
    ramp = np.broadcast_to(np.arange(length, dtype=np.float32)[:, None], (num_keys, length, 1))
    keys = tf.range(num_keys, dtype=tf.int64)
    warped = time_warp(ramp, np.full(num_keys, length, np.int32), keys, max_distance=_DISTANCE).numpy()

    counts = dict.fromkeys([(center, distance) for center in (5, 6, 7) for distance in range(-4, 5)], 0)
    for center, distance in counts:
        expected = [float(_source(frame, center, distance, length - 1)) for frame in range(length)]
        counts[center, distance] = int((np.abs(warped[:, :, 0] - expected) < 1e-3).all(1).sum())

    unmoved = counts[5, 0]
    assert unmoved == counts[6, 0] == counts[7, 0]
    of_pair = [count for (_, distance), count in counts.items() if distance] + [unmoved / 3]
    assert sum(of_pair[:-1]) + unmoved == num_keys
    assert np.abs(np.array(of_pair) - num_keys / 27).max() < 4 * np.sqrt(num_keys / 27)


def test_utterances_without_a_frame_far_enough_from_both_ends_are_left_alone():
    features, keys = _features(num=200), tf.range(200, dtype=tf.int64)
    for length, is_warped in [(2 * _DISTANCE + 2, False), (2 * _DISTANCE + 3, True)]:
        warped = time_warp(features, np.full(200, length, np.int32), keys, max_distance=_DISTANCE).numpy()
        assert (warped != features).any() == is_warped


def test_padding_is_neither_changed_nor_mixed_into_other_frames():
    features = _features()
    is_valid = (np.arange(30) < _LENGTHS[:, None])[:, :, None]
    expected = time_warp(features, _LENGTHS, _KEYS, max_distance=_DISTANCE)
    padded = time_warp(np.where(is_valid, features, np.float32(np.nan)), _LENGTHS, _KEYS, max_distance=_DISTANCE)
    np.testing.assert_array_equal(padded, np.where(is_valid, expected, np.nan))


def test_an_hour_of_frames_does_not_overflow():
    num_frames = 360_000
    ramp = tf.reshape(tf.range(num_frames, dtype=tf.float32), [1, num_frames, 1])
    warped = time_warp(ramp, tf.constant([num_frames]), _KEYS[:1], max_distance=80).numpy().ravel()
    assert np.abs(warped - ramp.numpy().ravel()).max() <= 81
    assert (np.diff(warped) > 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_interpolated_in_float32(dtype):
    features = tf.cast(_features(), dtype)
    warped = time_warp(features, _LENGTHS, _KEYS, max_distance=_DISTANCE)
    assert warped.dtype == dtype
    expected = time_warp(tf.cast(features, "float32"), _LENGTHS, _KEYS, max_distance=_DISTANCE)
    np.testing.assert_array_equal(warped, tf.cast(expected, dtype))
