"""`Ranking`: the order of the rows of a class, in which the first ones are taken."""

import numpy as np

from keras_noisy_student.pseudo_labels.pool_summary import PoolSummary
from keras_noisy_student.pseudo_labels.rows import Rows


class Ranking:
    """Compares rows of one class by three unsigned words: the later ones count where the earlier ones are equal.

    Where a class is cut, they are the falling score, a hash of the fingerprint and the place in the pool. Where the
    rows for extra copies are chosen at random, the leading bits of the hash stand for the score. So no two rows are
    equal, and only rows that agree in everything else are told apart by their places.

    Args:
        is_random: whether the score does not count, by class: bool `(num_classes,)`.
        summary: of all rows.
        seed: int64 of the hash.

    Attributes:
        widths: the number of bits of each word.
    """

    def __init__(self, is_random: np.ndarray, summary: PoolSummary, *, seed: int) -> None:
        self.widths = (32, 64, (summary.num_rows - 1).bit_length())
        self._is_random = is_random
        self._seed = seed
        extremes = np.array([summary.lowest_kept_score, summary.highest_score], np.float32)
        lowest, self._highest = (int(bits) for bits in _bits(extremes))
        self._unused_bits = 32 - (self._highest - lowest).bit_length()

    def word(self, index: int, rows: Rows) -> np.ndarray:
        """One of the three words of rows whose score is above the threshold, uint64 `(rows,)`."""
        return (self._leading_word, self._hash, _place)[index](rows)

    def _leading_word(self, rows: Rows) -> np.ndarray:
        word = self._falling_score(rows)
        is_random = np.flatnonzero(self._is_random[rows.class_ids])
        word[is_random] = self._hash(rows.at(is_random)) >> 32
        return word

    def _falling_score(self, rows: Rows) -> np.ndarray:
        """0 for the highest score of the pool; shifted so that scores differ as far to the left as can be."""
        return (self._highest - _bits(rows.scores)).astype(np.uint64) << self._unused_bits

    def _hash(self, rows: Rows) -> np.ndarray:
        return hashes(rows.fingerprints, self._seed)


def hashes(fingerprints: np.ndarray, seed: int) -> np.ndarray:
    """`seeds.fold(seed, fingerprints)` as uint64, in NumPy: on blocks of some thousand rows 8 times as fast."""
    key = _mix(np.array([seed]).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    return _mix(key ^ _mix(np.ascontiguousarray(fingerprints).view(np.uint64)))


def _mix(state: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64."""
    state = (state ^ (state >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> 27)) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = state ^ (state >> 31)
    return mixed


def _place(rows: Rows) -> np.ndarray:
    return rows.numbers.astype(np.uint64)


def _bits(scores: np.ndarray) -> np.ndarray:
    """The bits of positive float32 numbers, which as integers have the same order."""
    return np.ascontiguousarray(scores).view(np.int32)
