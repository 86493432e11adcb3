"""Select: filter the annotated pool by confidence and balance its classes, in a few passes over its columns."""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from keras_noisy_student.pseudo_labels.balance import balance
from keras_noisy_student.pseudo_labels.cutoffs import find_cutoffs, is_taken
from keras_noisy_student.pseudo_labels.pool_summary import PoolSummary, merge, summarize
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.ranking import Ranking
from keras_noisy_student.pseudo_labels.rows import Rows, numbered
from keras_noisy_student.pseudo_labels.selection import Selection


def select(columns: Iterable[np.ndarray], pseudo_labeling: PseudoLabeling, *, num_classes: int, seed: int) -> Selection:
    """Filters by `confidence_threshold`, then balances by `examples_per_class`.

    Takes the memory of `repeats`, of a block and of a fixed number of counters: it is exact for pools of any size.

    Args:
        columns: of the pool, in blocks: structured arrays `(rows,)` with the fields `fingerprint`, `score` and
            `class_id`. Iterated over several times.
        pseudo_labeling: the rules.
        num_classes: number of classes.
        seed: int64; breaks ties between equal scores and chooses which rows are duplicated.

    Raises:
        ValueError: when the threshold keeps nothing.
    """
    threshold = pseudo_labeling.confidence_threshold
    summarize_block = functools.partial(summarize, threshold=threshold, num_classes=num_classes)
    summary = functools.reduce(merge, map(summarize_block, columns))
    _check_keeps_some(summary, threshold)
    copies, num_extra = balance(summary.kept_counts, pseudo_labeling.examples_per_class)
    ranking = Ranking(copies > 0, summary, seed=seed)

    def ranked_rows() -> Iterator[Rows]:
        return (_ranked(rows, threshold, num_extra) for rows in numbered(columns))

    cutoffs = find_cutoffs(ranked_rows, ranking, num_wanted=num_extra, num_rows=summary.kept_counts)
    repeats = np.empty(summary.num_rows, np.int32)
    for rows in numbered(columns):
        repeats[rows.numbers] = np.where(rows.scores > threshold, copies[rows.class_ids], 0)
        ranked = _ranked(rows, threshold, num_extra)
        repeats[ranked.numbers] += is_taken(ranked, cutoffs, ranking)
    return Selection(
        repeats=repeats,
        class_counts=summary.class_counts,
        selected_class_counts=summary.kept_counts * copies + num_extra,
        mean_confidence=summary.mean_score,
    )


def _ranked(rows: Rows, threshold: float, num_extra: np.ndarray) -> Rows:
    """The confident rows of the classes in which some, and not all, are used once more."""
    return rows.where((rows.scores > threshold) & (num_extra > 0)[rows.class_ids])


def _check_keeps_some(summary: PoolSummary, threshold: float) -> None:
    if not summary.kept_counts.any():
        raise ValueError(
            f"No pseudo-label is more confident than confidence_threshold={threshold}. The highest confidence among "
            f"{summary.num_rows} annotated examples is {summary.highest_score:.4f}: lower the threshold below it, or "
            "train a better teacher."
        )
