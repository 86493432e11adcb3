"""What is fitted to the teacher of a round, once: when a run goes on, it is what was fitted before."""

import warnings
from collections.abc import Callable

import tensorflow as tf

from keras_noisy_student.pseudo_labels.fit_corrections import annotate_held_out, fit_corrections
from keras_noisy_student.pseudo_labels.fit_transcripts import fit_transcripts
from keras_noisy_student.pseudo_labels.fitted import Fitted, read_fitted_to, write_fitted
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.pseudo_labels.transcript_labeling import TranscriptLabeling
from keras_noisy_student.round_settings import RoundSettings
from keras_noisy_student.run_data import RunData
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.tasks.transcription import Transcription
from keras_noisy_student.workers import chief_first


def fit_round(
    settings: RoundSettings, teacher: Teacher, data: RunData, *, batch_size: int, pseudo_labels: PseudoLabels | None
) -> Fitted:
    """Fits the corrections of a round, or what its transcripts are selected by.

    Args:
        settings: of the round.
        teacher: what annotates in it.
        data: what `fit_rounds` was given.
        batch_size: examples of the validation data that the teacher sees at a time.
        pseudo_labels: the annotated pool; `None` for online annotation.

    Raises:
        ValueError: see `fit_corrections`, `annotate_held_out` and `fit_transcripts`.
    """
    batches, labeling = data.validation_batches(batch_size), settings.pseudo_labeling
    if isinstance(labeling, TranscriptLabeling) and isinstance(teacher.task, Transcription):
        return fit_transcripts(labeling, teacher.task, labels=data.labels, teacher=teacher, held_out=batches)
    return fit_corrections(
        labeling.fitted,
        teacher.task,
        labels=data.labels,
        held_out=None if batches is None else annotate_held_out(teacher, batches),
        pseudo_labels=pseudo_labels,
    )


def fitted_once(
    path: str,
    fit: Callable[[], Fitted],
    *,
    origin: str,
    strategy: tf.distribute.Strategy,
    before_writing: Callable[[], None],
) -> Fitted:
    """What was fitted to the same, or is fitted now by the chief, whose result all workers take.

    Args:
        path: of the file that keeps it.
        fit: does it.
        origin: tells what it is fitted to.
        strategy: of the workers.
        before_writing: called before the file is written; it may raise.

    """
    with chief_first(strategy):
        fitted = _read(path, origin)
        if fitted is None:
            fitted = fit()
            before_writing()
            write_fitted(path, fitted, origin=origin)
        return fitted


def _read(path: str, origin: str) -> Fitted | None:
    try:
        return read_fitted_to(path, origin=origin)
    except DamagedFileError as error:
        warnings.warn(f"{error} It is fitted again.", stacklevel=2)
        return None
