"""`Cutoffs`: how far down its ranking each class is taken, found in a few passes over the pool (radix selection).

A pass counts the rows of each class by the next digit of their rank, where the digits before are those of the cutoff:
that tells the digit of the cutoff, and leaves a small part of the rows undecided. As soon as the undecided rows of all
classes are few, a last pass collects and sorts them. Every step is a pure function of a block of rows, or merges what
such functions return, so that the memory does not grow with the pool and the blocks may be read on many machines.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from keras_noisy_student.pseudo_labels.ranking import Ranking
from keras_noisy_student.pseudo_labels.rows import Rows

MAX_SORTED_ROWS = 1 << 20
MAX_COUNTERS = 1 << 22


@dataclasses.dataclass(frozen=True)
class Cutoffs:
    """The rank of the last row of each class that is taken, as far as it is known.

    Args:
        words: of that rank, uint64 `(3, num_classes)`; zeros where they are unknown.
        unknown_bits: how many of the last bits of each word are unknown.
        num_wanted: how many of the rows that agree with the known bits are taken, int64 `(num_classes,)`.
        num_undecided: how many rows agree with them, int64 `(num_classes,)`.
    """

    words: np.ndarray
    unknown_bits: tuple[int, ...]
    num_wanted: np.ndarray
    num_undecided: np.ndarray

    @property
    def unknown_word(self) -> int:
        """The first word that is not known to its last bit."""
        return next(word for word, bits in enumerate(self.unknown_bits) if bits)

    @property
    def bits_of_next_digit(self) -> int:
        """How many bits a pass adds: as many as the counters of all classes have room for."""
        return min(_digit_bits(len(self.num_wanted)), self.unknown_bits[self.unknown_word])

    @property
    def needs_digit(self) -> bool:
        """Whether the undecided rows are too many to be sorted."""
        return bool(self.num_undecided.sum() > MAX_SORTED_ROWS) and any(self.unknown_bits)

    @property
    def num_counters(self) -> int:
        """Of the next digit."""
        return len(self.num_wanted) << self.bits_of_next_digit


def find_cutoffs(
    read: Callable[[], Iterable[Rows]], ranking: Ranking, *, num_wanted: np.ndarray, num_rows: np.ndarray
) -> Cutoffs:
    """The cutoffs that have so many rows of each class taken.

    Args:
        read: reads the rows of the classes of which some are wanted, block by block; called once for each pass.
        ranking: of these rows.
        num_wanted: rows to be taken of each class, int64 `(num_classes,)`.
        num_rows: rows of each class that there are, more than are wanted.
    """
    cutoffs = unknown_cutoffs(ranking, num_wanted=num_wanted, num_rows=num_rows)
    while cutoffs.needs_digit:
        counters = np.zeros(cutoffs.num_counters, np.int64)
        for rows in read():
            places, counts = count_digits(rows, cutoffs, ranking)
            counters[places] += counts
        cutoffs = with_next_digit(cutoffs, counters)
    if not cutoffs.num_undecided.any():
        return cutoffs
    return with_all_bits(cutoffs, [undecided_ranks(rows, cutoffs, ranking) for rows in read()])


def max_digits(num_classes: int) -> int:
    """How many digits there are at most in a rank: of a score, a hash and a place."""
    return sum(-(-width // _digit_bits(num_classes)) for width in (32, 64, 63))


def unknown_cutoffs(ranking: Ranking, *, num_wanted: np.ndarray, num_rows: np.ndarray) -> Cutoffs:
    """Those of which no bit is known yet; arguments are those of `find_cutoffs`."""
    words = np.zeros((len(ranking.widths), len(num_wanted)), np.uint64)
    return Cutoffs(words, ranking.widths, num_wanted, np.where(num_wanted > 0, num_rows, 0))


def count_digits(rows: Rows, cutoffs: Cutoffs, ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """How often each next digit occurs among the undecided rows of each class.

    Returns:
        The counters that are not 0: their places in an array `(num_classes * digits,)`, and their values.
    """
    undecided = _undecided(rows, cutoffs, ranking)
    word, bits = cutoffs.unknown_word, cutoffs.bits_of_next_digit
    above = ranking.word(word, undecided) >> (cutoffs.unknown_bits[word] - bits)
    digits = (above & ((1 << bits) - 1)).astype(np.uint32)
    places, counts = np.unique(digits | (undecided.class_ids.astype(np.uint32) << bits), return_counts=True)
    return places, counts


def with_next_digit(cutoffs: Cutoffs, counters: np.ndarray) -> Cutoffs:
    """The cutoffs with one digit more, from the sums `(num_classes * digits,)` of what `count_digits` returned."""
    counts = counters.reshape(len(cutoffs.num_wanted), -1)
    up_to = np.cumsum(counts, axis=1)
    digit = (up_to < cutoffs.num_wanted[:, None]).sum(axis=1)
    here = (np.arange(len(digit)), digit)
    word = cutoffs.unknown_word
    unknown = cutoffs.unknown_bits[word] - cutoffs.bits_of_next_digit
    words = cutoffs.words.copy()
    words[word] |= digit.astype(np.uint64) << unknown
    return Cutoffs(
        words=words,
        unknown_bits=(*cutoffs.unknown_bits[:word], unknown, *cutoffs.unknown_bits[word + 1 :]),
        num_wanted=cutoffs.num_wanted - (up_to[here] - counts[here]),
        num_undecided=counts[here],
    )


def undecided_ranks(rows: Rows, cutoffs: Cutoffs, ranking: Ranking) -> np.ndarray:
    """The classes and the ranks of the undecided rows, uint64 `(4, undecided)`."""
    undecided = _undecided(rows, cutoffs, ranking)
    words = [ranking.word(word, undecided) for word in range(len(ranking.widths))]
    return np.stack([undecided.class_ids.astype(np.uint64), *words])


def with_all_bits(cutoffs: Cutoffs, ranks: Iterable[np.ndarray]) -> Cutoffs:
    """The cutoffs to the last bit, from all that `undecided_ranks` returned."""
    class_ids, *words = np.concatenate(list(ranks), axis=1)
    order = np.lexsort([*reversed(words), class_ids])
    classes = np.flatnonzero(cutoffs.num_wanted)
    last = order[np.searchsorted(class_ids[order], classes) + cutoffs.num_wanted[classes] - 1]
    exact = cutoffs.words.copy()
    exact[:, classes] = [word[last] for word in words]
    one = cutoffs.num_wanted.astype(bool).astype(np.int64)
    return Cutoffs(exact, (0,) * len(words), num_wanted=one, num_undecided=one)


def is_taken(rows: Rows, cutoffs: Cutoffs, ranking: Ranking) -> np.ndarray:
    """Whether each row stands before the cutoff of its class, or is the last one that is taken: bool `(rows,)`."""
    taken = np.zeros(len(rows), bool)
    ties = np.arange(len(rows))
    for word, cutoff_of_class in enumerate(cutoffs.words):
        tied = rows.at(ties)
        values, cutoff = ranking.word(word, tied), cutoff_of_class[tied.class_ids]
        taken[ties] = values <= cutoff
        ties = ties[values == cutoff]
    return taken


def _digit_bits(num_classes: int) -> int:
    return min(max((MAX_COUNTERS // num_classes).bit_length() - 1, 1), 16)


def _undecided(rows: Rows, cutoffs: Cutoffs, ranking: Ranking) -> Rows:
    """Those that agree with the known bits of the cutoff of their class."""
    for word, (unknown, width) in enumerate(zip(cutoffs.unknown_bits, ranking.widths, strict=True)):
        if unknown == width:
            break
        cutoff = cutoffs.words[word] >> unknown
        rows = rows.where(ranking.word(word, rows) >> unknown == cutoff[rows.class_ids])
    return rows
