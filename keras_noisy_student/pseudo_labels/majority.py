"""Majority collapse: one class takes most pseudo-labels, and every further student confirms it."""

import warnings

import numpy as np

from keras_noisy_student.pseudo_labels.selection import Selection


def warn_of_majority(selection: Selection, labels: np.ndarray) -> None:
    """Warns when a class has more pseudo-labels than its share of the labelled examples explains.

    That is: when its share of the pool is more than half-way from its share of the labelled examples to the whole, so
    above 55% for one of ten balanced classes, above 75% for one of two, above 95% for one that has 90% of the labels.

    Args:
        selection: of the round.
        labels: class ids of the labelled examples, `(examples,)`; transcripts have no classes.
    """
    counts = selection.class_counts
    if labels.ndim > 1:
        return
    majority = int(np.argmax(counts))
    share = counts[majority] / counts.sum()
    labeled_share = float(np.mean(labels == majority))
    if share > (1 + labeled_share) / 2:
        warnings.warn(
            f"The teacher sees class {majority} in {share:.0%} of the unlabelled pool ({counts[majority]:,} of "
            f"{counts.sum():,}), and {labeled_share:.0%} of the labelled examples are of it. If the pool is not like "
            'that, students will confirm the mistake: balance the classes (`examples_per_class="auto"`), raise '
            "`confidence_threshold`, or train a better teacher.",
            stacklevel=2,
        )
