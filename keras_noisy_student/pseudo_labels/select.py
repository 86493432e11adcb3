"""Select: filter the annotated pool by confidence and balance its classes, in a few passes over its columns."""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from keras_noisy_student.pseudo_labels.cutoffs import find_cutoffs
from keras_noisy_student.pseudo_labels.labeling import Labeling
from keras_noisy_student.pseudo_labels.pool_summary import merge, summarize
from keras_noisy_student.pseudo_labels.rows import Rows, numbered
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.selection_plan import SelectionPlan


def select(columns: Iterable[np.ndarray], labeling: Labeling, *, num_classes: int, seed: int) -> Selection:
    """Filters by the threshold, then balances by `examples_per_class`.

    Takes the memory of `repeats`, of a block and of a fixed number of counters: it is exact for pools of any size.

    Args:
        columns: of the pool, in blocks: structured arrays `(rows,)` with the fields `fingerprint`, `score` and
            `class_id`. Iterated over several times.
        labeling: the rules.
        num_classes: number of classes.
        seed: int64; breaks ties between equal scores and chooses which rows are duplicated.

    Raises:
        ValueError: when the threshold keeps nothing.
    """
    summarize_block = functools.partial(summarize, threshold=labeling.threshold, num_classes=num_classes)
    summary = functools.reduce(merge, map(summarize_block, columns))
    plan = SelectionPlan.of(summary, labeling, seed=seed)

    def ranked_rows() -> Iterator[Rows]:
        return map(plan.ranked, numbered(columns))

    cutoffs = find_cutoffs(ranked_rows, plan.ranking, num_wanted=plan.num_extra, num_rows=summary.kept_counts)
    repeats = np.empty(summary.num_rows, np.int32)
    for rows in numbered(columns):
        repeats[rows.numbers] = plan.repeats(rows, cutoffs)
    return plan.selection(repeats)
