"""Balance: how often the rows of each class are used, so that the classes become equally large."""

import math
from typing import Literal, NamedTuple

import numpy as np


class Balance(NamedTuple):
    """How often the kept rows of each class are used.

    Args:
        copies: of every row of the class, int64 `(num_classes,)`.
        num_extra: how many of its rows, the first ones of their ranking, are used once more.
    """

    copies: np.ndarray
    num_extra: np.ndarray


def balance(kept_counts: np.ndarray, examples_per_class: int | Literal["auto"] | None) -> Balance:
    """Has every class that has kept rows used `examples_per_class` times.

    A class with more rows than that has no copies and that many extra ones; a smaller one uses all of its rows equally
    often and a few once more.

    Args:
        kept_counts: rows of each class that are confident enough, int64 `(num_classes,)`.
        examples_per_class: see `PseudoLabeling`.

    Example:
        >>> balance(np.array([5, 2, 0]), 3)
        Balance(copies=array([0, 1, 0]), num_extra=array([3, 1, 0]))
    """
    if examples_per_class is None:
        return Balance(np.ones_like(kept_counts), np.zeros_like(kept_counts))
    present = kept_counts > 0
    target = math.ceil(kept_counts.sum() / present.sum()) if examples_per_class == "auto" else examples_per_class
    copies, num_extra = np.divmod(target, np.maximum(kept_counts, 1))
    return Balance(copies * present, num_extra * present)
