"""Stateless randomness: every draw is a pure function of a key and of what it is drawn for.

Keys are int64. In Python they come from names and numbers (`stream_key`), in tensors they are folded with a position
(`fold`) and turned into uniform numbers (`uniform`), one row of draws per key.

The generator is SplitMix64 (Steele, Lea and Flood 2014) rather than `tf.random.stateless_uniform`, for two measured
reasons: TensorFlow's op takes one key per call, so a batch of keys needs a loop (19 us an example on a CPU, against 0.3
here), and its numbers differ between a plain graph and XLA, which would make the noise depend on `jit_compile`.

Its arithmetic is traced once for all graphs that draw (`tf.function`): dozens of ops, which every training step and
pipeline of every round would trace half a dozen times anew, at 25 ms each.
"""

import contextlib
import hashlib
import random
from collections.abc import Iterator

import tensorflow as tf

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


def stream_key(*parts: int | str) -> int:
    """Hashes numbers and names into an int64 key.

    Example:
        >>> stream_key(0, "labeled", 1) == stream_key(0, "labeled", 1)
        True
        >>> stream_key(0, "labeled", 1) == stream_key(0, "labeled", 2)
        False
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def fold(key: tf.Tensor | int, data: tf.Tensor | int) -> tf.Tensor:
    """Folds `data` into `key`: a new int64 key for every distinct pair (shapes broadcast)."""
    key, data = tf.cast(key, tf.int64), tf.cast(data, tf.int64)
    folded = _folded(key, data)
    # A trace of unknown sizes serves known ones too.
    folded.set_shape(tf.broadcast_static_shape(key.shape, data.shape))
    return folded


def uniform(keys: tf.Tensor, num: int) -> tf.Tensor:
    """Draws `num` numbers for each key.

    Args:
        keys: int64 tensor of shape `(batch,)`.
        num: numbers per key.

    Returns:
        float32 tensor of shape `(batch, num)`, uniform in [0, 1).
    """
    keys = tf.cast(keys, tf.int64)
    numbers = _uniform_numbers(keys, num)
    numbers.set_shape([*keys.shape, num])
    return numbers


@contextlib.contextmanager
def seeded_initialization(key: int) -> Iterator[None]:
    """Makes layers that are built inside reproducible, and leaves the global random state as it was.

    A Keras initializer or layer without a seed of its own draws one from Python's `random` module.
    """
    state = random.getstate()
    random.seed(key)
    try:
        yield
    finally:
        random.setstate(state)


@tf.function(autograph=False)
def _folded(key: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    mixed_key = _mix(_as_uint64(key) + tf.constant(_GOLDEN_GAMMA, tf.uint64))
    return tf.bitcast(_mix(mixed_key ^ _mix(_as_uint64(data))), tf.int64)


@tf.function(autograph=False)
def _uniform_numbers(keys: tf.Tensor, num: int) -> tf.Tensor:
    counters = tf.range(1, num + 1, dtype=tf.int64)
    states = _as_uint64(keys)[:, None] + _as_uint64(counters)[None, :] * tf.constant(_GOLDEN_GAMMA, tf.uint64)
    top_24_bits = tf.bitwise.right_shift(_mix(states), tf.constant(40, tf.uint64))
    return tf.cast(tf.cast(top_24_bits, tf.int32), tf.float32) * 2.0**-24


def _as_uint64(value: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(value, tf.uint64)


def _mix(state: tf.Tensor) -> tf.Tensor:
    """The output function of SplitMix64: a bijection on 64 bits."""
    state = (state ^ _shift(state, 30)) * tf.constant(0xBF58476D1CE4E5B9, tf.uint64)
    state = (state ^ _shift(state, 27)) * tf.constant(0x94D049BB133111EB, tf.uint64)
    return state ^ _shift(state, 31)


def _shift(state: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.bitwise.right_shift(state, tf.constant(bits, tf.uint64))
