"""The time warp of SpecAugment: a piecewise linear change of tempo within an utterance."""

import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.uniform_integers import uniform_integers

_PARTS_OF_A_FRAME = 4096


def time_warp(features: tf.Tensor, lengths: tf.Tensor, keys: tf.Tensor, *, max_distance: int) -> tf.Tensor:
    """Moves a random frame of every utterance by a random distance, and stretches what lies on either side.

    The first and the last frame stay. This is the warp of Park et al. 2019 (arXiv 1912.05533), which replaced the
    image warp of the first paper. The moved frame is drawn from those further than `max_distance` from either end,
    so that each side keeps a frame at least. An utterance shorter than `2 * max_distance + 3` has none and is left
    alone.

    Sources are computed in integers, in whole 1/4096ths of a frame. The product of the interpolation is scaled by a
    power of two before it is added, which is exact, so that a fused multiply-add rounds as often as two operations: the
    bits are the same in eager mode, in a graph and under XLA.

    Args:
        features: float `(batch, time, frequency)`.
        lengths: int32 `(batch,)`; frames from the length on are padding, neither changed nor looked at.
        keys: int64 keys `(batch,)`.
        max_distance: in frames, the paper's W.

    Returns:
        Features of the same shape and dtype, interpolated in float32.

    Example:
        >>> ramp = tf.reshape(tf.range(9.0), [1, 9, 1])
        >>> warped = time_warp(ramp, tf.constant([9]), tf.constant([13], tf.int64), max_distance=2)
        >>> warped[0, :, 0].numpy().tolist()
        [0.0, 1.25, 2.5, 3.75, 5.0, 5.75, 6.5, 7.25, 8.0]
    """
    draws = seeds.uniform(keys, 2)
    num_centers = lengths - 2 * max_distance - 2
    centers = max_distance + 1 + uniform_integers(draws[:, 0], tf.maximum(num_centers, 1))
    distances = uniform_integers(draws[:, 1], 2 * max_distance + 1) - max_distance
    frames = tf.range(tf.shape(features)[1])
    sources = _sources(frames, centers, centers + distances, lengths)
    is_warped = (num_centers > 0)[:, None] & (frames < lengths[:, None])
    return tf.where(is_warped[:, :, None], _interpolate(features, sources, lengths), features)


def _sources(frames: tf.Tensor, centers: tf.Tensor, moved_centers: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Where each frame comes from, in parts of a frame: int64 `(batch, time)`."""
    frames = tf.cast(frames, tf.int64)
    centers, moved_centers, last = (
        tf.cast(tensor, tf.int64)[:, None] for tensor in (centers, moved_centers, lengths - 1)
    )
    before = _divide(frames * centers * _PARTS_OF_A_FRAME, moved_centers)
    beyond = _divide((frames - moved_centers) * (last - centers) * _PARTS_OF_A_FRAME, last - moved_centers)
    return tf.where(frames < moved_centers, before, centers * _PARTS_OF_A_FRAME + beyond)


def _divide(numerator: tf.Tensor, denominator: tf.Tensor) -> tf.Tensor:
    """Rounds down. Only utterances that are too short to be warped have a denominator below 1."""
    return numerator // tf.maximum(denominator, 1)


def _interpolate(features: tf.Tensor, sources: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    last = tf.maximum(lengths - 1, 0)[:, None]
    left_frames = tf.clip_by_value(tf.cast(sources // _PARTS_OF_A_FRAME, tf.int32), 0, last)
    left = tf.cast(tf.gather(features, left_frames, batch_dims=1), tf.float32)
    right = tf.cast(tf.gather(features, tf.minimum(left_frames + 1, last), batch_dims=1), tf.float32)
    parts = tf.cast(sources % _PARTS_OF_A_FRAME, tf.float32)[:, :, None]
    return tf.cast(left + (right - left) * parts * (1 / _PARTS_OF_A_FRAME), features.dtype)
