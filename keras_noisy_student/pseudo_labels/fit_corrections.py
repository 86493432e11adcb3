"""Fit: finds what the corrections of a round are, one after the other, each on what those before it left."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.calibration import expected_calibration_error
from keras_noisy_student.pseudo_labels.correction import Correction, Evidence, HeldOut
from keras_noisy_student.pseudo_labels.fitted_corrections import FittedCorrections
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.tasks.task import Task


def fit_corrections(
    corrections: Sequence[Correction],
    task: Task,
    *,
    labels: np.ndarray,
    held_out: HeldOut | None,
    pseudo_labels: PseudoLabels | None,
) -> FittedCorrections:
    """Fits the corrections in their order.

    Args:
        corrections: of the round.
        task: judges probabilities.
        labels: class ids of the labelled examples.
        held_out: what the teacher says of the validation data, where there is any; fitted to is what the store would
            keep of it, if that is what will be corrected.
        pseudo_labels: the annotated pool; `None` for online annotation.

    Raises:
        ValueError: when a correction asks for what is not there, or returns no map for these classes.
    """
    frequencies = np.bincount(labels, minlength=task.num_classes) / len(labels)
    seen = held_out if held_out is None or pseudo_labels is None else _as_stored(held_out, task)
    fitted = ProbabilityMap()
    for correction in corrections:
        evidence = Evidence(
            frequencies,
            held_out=functools.partial(_held_out_after, fitted, seen),
            pool_mean=functools.partial(_pool_mean_after, fitted, pseudo_labels, task),
        )
        fitted = fitted.then(_checked(correction.fit(evidence), correction, task.num_classes))
    before, after = None, None
    if held_out is not None:
        before = _calibration_error(held_out, task)
        after = _calibration_error(_held_out_after(fitted, seen), task)
    return FittedCorrections(fitted.power, list(fitted.log_weights), before, after)


def annotate_held_out(teacher: Teacher, batches: tf.data.Dataset) -> HeldOut:
    """What a teacher says of batches of labelled examples `(x, y)`.

    Raises:
        ValueError: when it is not finite.
    """

    def annotate(x: Any, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return teacher.annotate(x).pseudo_label, y

    annotate_in_graph = tf.function(annotate).get_concrete_function(*batches.element_spec)
    annotated = [annotate_in_graph(x, y) for x, y in batches.prefetch(tf.data.AUTOTUNE)]
    held_out = HeldOut(*(np.concatenate(column) for column in zip(*annotated, strict=True)))
    wrong = np.flatnonzero(~np.isfinite(held_out.probabilities).all(axis=-1))
    if len(wrong):
        raise ValueError(
            f"The teacher's outputs must be finite. Received: NaN or infinity for {len(wrong)} examples of "
            f"`validation_data`, the first at row {wrong[0]}. Look for NaN in that example."
        )
    return held_out


def _as_stored(held_out: HeldOut, task: Task) -> HeldOut:
    stored = task.decode(task.encode(tf.constant(held_out.probabilities)))
    return held_out._replace(probabilities=stored.numpy())


def _held_out_after(before: ProbabilityMap, held_out: HeldOut | None) -> HeldOut:
    if held_out is None:
        raise ValueError(
            "A correction asks for held-out data, and there is none. Pass `validation_data` to `fit_rounds`, and set "
            "`needs_validation = True` in the class of the correction."
        )
    return held_out._replace(probabilities=before(tf.constant(held_out.probabilities)).numpy())


def _pool_mean_after(before: ProbabilityMap, pseudo_labels: PseudoLabels | None, task: Task) -> np.ndarray:
    if pseudo_labels is None:
        raise ValueError(
            'A correction asks for the annotated pool, which online annotation never sees. Use annotate="stored", and '
            "set `needs_pool = True` in the class of the correction."
        )
    sums = pseudo_labels.rows().map(
        lambda row: tf.reduce_sum(before(task.decode(row)), axis=0), num_parallel_calls=tf.data.AUTOTUNE
    )
    total: np.ndarray = sum(block.astype(np.float64) for block in sums.as_numpy_iterator()) / len(pseudo_labels)
    return total


def _checked(found: Any, correction: Correction, num_classes: int) -> ProbabilityMap:
    if not isinstance(found, ProbabilityMap) or len(found.log_weights) not in (0, num_classes):
        raise ValueError(
            f"`{type(correction).__name__}.fit` must return a ProbabilityMap with a weight for each of {num_classes} "
            f"classes, or none. Received: {found!r}."
        )
    return found


def _calibration_error(held_out: HeldOut, task: Task) -> float:
    judged = task.judge(tf.constant(held_out.probabilities))
    return expected_calibration_error(judged.score.numpy(), judged.class_id.numpy() == held_out.labels)
