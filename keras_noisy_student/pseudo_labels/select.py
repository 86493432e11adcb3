"""Select: filter the annotated pool by confidence and balance its classes, as pure functions of its columns."""

import dataclasses
import math
from typing import Literal

import numpy as np

from keras_noisy_student.noise import seeds
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which rows of the pool a student trains on.

    Args:
        repeats: how often each row of the pool is used in one pass, int32 `(rows,)`: 0 drops it, above 1 duplicates it.
        class_ids: the predicted class of each row, `(rows,)`.
        num_classes: number of classes.
        mean_confidence: of all rows.
    """

    repeats: np.ndarray
    class_ids: np.ndarray
    num_classes: int
    mean_confidence: float

    @property
    def class_counts(self) -> np.ndarray:
        """Rows of each predicted class before selection, `(num_classes,)`."""
        return np.bincount(self.class_ids, minlength=self.num_classes)

    @property
    def selected_class_counts(self) -> np.ndarray:
        """Copies of each class after selection, `(num_classes,)`."""
        return np.bincount(self.class_ids, weights=self.repeats, minlength=self.num_classes).astype(np.int64)

    @property
    def num_annotated(self) -> int:
        """Rows in the pool."""
        return len(self.repeats)

    @property
    def num_kept(self) -> int:
        """Different rows that are used."""
        return int(np.count_nonzero(self.repeats))

    @property
    def num_selected(self) -> int:
        """Rows in one pass over the selection, copies included."""
        return int(self.repeats.sum(dtype=np.int64))


def select(columns: np.ndarray, pseudo_labeling: PseudoLabeling, *, num_classes: int, seed: int) -> Selection:
    """Filters by `confidence_threshold`, then balances by `examples_per_class`.

    Args:
        columns: structured array `(rows,)` with the fields `fingerprint`, `score` and `class_id`.
        pseudo_labeling: the rules.
        num_classes: number of classes.
        seed: int64; breaks ties between equal scores and chooses which rows are duplicated.

    Raises:
        ValueError: when the threshold keeps nothing.
    """
    kept = np.flatnonzero(columns["score"] > pseudo_labeling.confidence_threshold)
    if not len(kept):
        raise ValueError(
            f"No pseudo-label is more confident than confidence_threshold={pseudo_labeling.confidence_threshold}. The "
            f"highest confidence among {len(columns)} annotated examples is {columns['score'].max():.4f}: lower the "
            "threshold below it, or train a better teacher."
        )
    class_ids = columns["class_id"]
    target = _target_per_class(pseudo_labeling.examples_per_class, class_ids[kept])
    repeats = np.zeros(len(columns), np.int32)
    if target is None:
        repeats[kept] = 1
    else:
        for members in _most_confident_first(columns, kept, seed):
            repeats[members] = balanced_repeats(columns["fingerprint"][members], target, seed=seed)
    return Selection(
        repeats=repeats,
        class_ids=class_ids,
        num_classes=num_classes,
        mean_confidence=float(columns["score"].mean(dtype=np.float64)),
    )


def balanced_repeats(fingerprints: np.ndarray, target: int, *, seed: int) -> np.ndarray:
    """How often each member of one class is used, so that they add up to `target`.

    Args:
        fingerprints: int64 `(members,)`, the most confident member first.
        target: copies wanted. With more members the most confident `target` are used once; with fewer, each is used
            equally often and a random few once more.
        seed: int64 that chooses those few.

    Returns:
        int32 `(members,)`.

    Example:
        >>> balanced_repeats(np.arange(5, dtype=np.int64), 3, seed=0)
        array([1, 1, 1, 0, 0], dtype=int32)
        >>> int(balanced_repeats(np.arange(5, dtype=np.int64), 12, seed=0).sum())
        12
    """
    members = len(fingerprints)
    if members >= target:
        return (np.arange(members) < target).astype(np.int32)
    repeats = np.full(members, target // members, np.int32)
    repeats[np.argsort(_hash(fingerprints, seed, "duplicate"), kind="stable")[: target % members]] += 1
    return repeats


def _target_per_class(examples_per_class: int | Literal["auto"] | None, kept_class_ids: np.ndarray) -> int | None:
    if examples_per_class == "auto":
        return math.ceil(len(kept_class_ids) / len(np.unique(kept_class_ids)))
    return examples_per_class


def _most_confident_first(columns: np.ndarray, kept: np.ndarray, seed: int) -> list[np.ndarray]:
    """The kept rows of each class that has any, by falling score; ties fall by a hash, not by position."""
    rows = columns[kept]
    order = np.lexsort((_hash(rows["fingerprint"], seed, "tie"), -rows["score"], rows["class_id"]))
    boundaries = np.flatnonzero(np.diff(rows["class_id"][order])) + 1
    return np.split(kept[order], boundaries)


def _hash(fingerprints: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    return np.asarray(seeds.fold(seeds.stream_key(seed, purpose), fingerprints))
