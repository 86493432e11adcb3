"""Gather: finds the evidence of a round in what it left. Little of the pool is read: the columns, and the beginning."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_noisy_student.history import RoundRecord
from keras_noisy_student.pseudo_labels.calibration import CalibrationBins, calibration_bins
from keras_noisy_student.pseudo_labels.score_histogram import score_histogram
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.report.evidence import NoisedExample, PoolExample, RoundEvidence
from keras_noisy_student.report.gallery_rows import gallery_rows
from keras_noisy_student.report.pictures import pictures
from keras_noisy_student.report.pool_examples import class_names, examples_at, first_annotations, label_texts
from keras_noisy_student.report.report import Report
from keras_noisy_student.round_settings import RoundSettings
from keras_noisy_student.run_data import RunData
from keras_noisy_student.sources.source import Source
from keras_noisy_student.tasks.task import Task

_EXAMPLES_AT_ONCE = 32


class AnnotatedPool(NamedTuple):
    """What a round annotated and selected, all in one order."""

    pool: Source
    """The examples."""
    pseudo_labels: PseudoLabels
    """What the teacher said of them, as corrected."""
    selection: Selection
    """Which are used."""
    audit_labels: np.ndarray | None
    """Their true classes, where they are known."""


def gather(
    report: Report,
    record: RoundRecord,
    settings: RoundSettings,
    data: RunData,
    *,
    trained: Teacher,
    annotated: AnnotatedPool | None,
    noised: Sequence[NoisedExample],
    batch_size: int,
) -> RoundEvidence:
    """The evidence of a finished round.

    Args:
        report: how much is wanted.
        record: of the round.
        settings: of the round.
        data: what `fit_rounds` was given.
        trained: the network that the round trained.
        annotated: what it was trained on; `None` where nothing is stored.
        noised: labelled examples with the noise of the round.
        batch_size: examples of the validation data that the network sees at a time.
    """
    task = trained.task
    names = class_names(task)
    calibration = _calibration(trained, data, batch_size)
    if annotated is None:
        return RoundEvidence(record, names, calibration=calibration, noised=noised)
    return RoundEvidence(
        record,
        names,
        threshold=settings.pseudo_labeling.threshold,
        scores=score_histogram(annotated.pseudo_labels.columns, annotated.selection.repeats),
        calibration=calibration,
        galleries=_galleries(report, annotated, task),
        num_searched=min(report.num_searched, len(annotated.pseudo_labels)),
        noised=noised,
    )


def _calibration(trained: Teacher, data: RunData, batch_size: int) -> CalibrationBins | None:
    """How far the network's confidence is from its accuracy, where validation labels are class ids."""
    batches = data.validation_batches(batch_size)
    if batches is None or batches.element_spec[1].shape.rank != 1:
        return None

    def judged(x: Any, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        annotation = trained.annotate(x)
        return annotation.score, tf.equal(annotation.class_id, tf.cast(y, tf.int32))

    judged_in_graph = tf.function(judged).get_concrete_function(*batches.element_spec)
    columns = zip(*(judged_in_graph(x, y) for x, y in batches), strict=True)
    return calibration_bins(*(np.concatenate(column) for column in columns))


def _galleries(report: Report, annotated: AnnotatedPool, task: Task) -> dict[str, list[PoolExample]]:
    """Examples from the beginning of the pool, where they have pictures."""
    empty = tf.nest.map_structure(
        lambda spec: np.zeros(spec.shape, spec.dtype.as_numpy_dtype), annotated.pool.element_spec
    )
    if pictures(empty) is None:
        return {}
    first = first_annotations(annotated.pseudo_labels, task, num=report.num_searched)
    num = len(first.score)
    audit_labels = None if annotated.audit_labels is None else annotated.audit_labels[:num]
    is_kept = annotated.selection.repeats[:num] > 0
    rows = gallery_rows(first.score, first.class_id, is_kept, audit_labels, num=report.num_examples)
    examples = examples_at(annotated.pool.batches(_EXAMPLES_AT_ONCE), np.concatenate(list(rows.values())))
    texts, names = label_texts(first, task), class_names(task)

    def shown(row: int) -> PoolExample:
        true_text = None if audit_labels is None else names[audit_labels[row]]
        return PoolExample(row, examples[row], texts[row], float(first.score[row]), true_text)

    return {title: [shown(int(row)) for row in rows_of_gallery] for title, rows_of_gallery in rows.items()}
