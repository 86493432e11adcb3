"""`Rows`: some rows of the pool, with their places in it."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np


@dataclasses.dataclass(frozen=True)
class Rows:
    """What selection knows of some rows.

    Args:
        columns: structured array `(rows,)` with the fields `fingerprint`, `score` and `class_id`.
        numbers: the place of each row in the pool, int64 `(rows,)`, rising.
    """

    columns: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def fingerprints(self) -> np.ndarray:
        """int64 `(rows,)`."""
        return self.columns["fingerprint"]

    @property
    def scores(self) -> np.ndarray:
        """float32 `(rows,)`."""
        return self.columns["score"]

    @property
    def class_ids(self) -> np.ndarray:
        """int32 `(rows,)`."""
        return self.columns["class_id"]

    def at(self, index: np.ndarray) -> "Rows":
        """Those at an index."""
        return Rows(self.columns.take(index), self.numbers.take(index))

    def where(self, mask: np.ndarray) -> "Rows":
        """Those at which a mask is true; 10 times as fast as to index structured arrays with the mask."""
        return self.at(np.flatnonzero(mask))


def numbered(columns: Iterable[np.ndarray]) -> Iterator[Rows]:
    """The blocks of columns of a whole pool, with the places of their rows."""
    first = 0
    for block in columns:
        yield Rows(block, np.arange(first, first + len(block)))
        first += len(block)
