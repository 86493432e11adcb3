"""The corrections of a round, fitted once: when a run goes on, they are those that were fitted before."""

import warnings
from collections.abc import Callable

import tensorflow as tf

from keras_noisy_student.pseudo_labels.fit_corrections import annotate_held_out, fit_corrections
from keras_noisy_student.pseudo_labels.fitted_corrections import FittedCorrections, read_fitted_to, write_fitted
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.round_settings import RoundSettings
from keras_noisy_student.run_data import RunData
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.workers import chief_first


def fit_round(
    settings: RoundSettings, teacher: Teacher, data: RunData, *, batch_size: int, pseudo_labels: PseudoLabels | None
) -> FittedCorrections:
    """Fits the corrections of a round.

    Args:
        settings: of the round.
        teacher: what annotates in it.
        data: what `fit_rounds` was given.
        batch_size: examples of the validation data that the teacher sees at a time.
        pseudo_labels: the annotated pool; `None` for online annotation.

    Raises:
        ValueError: see `fit_corrections` and `annotate_held_out`.
    """
    batches = data.validation_batches(batch_size)
    return fit_corrections(
        settings.pseudo_labeling.corrections,
        teacher.task,
        labels=data.labels,
        held_out=None if batches is None else annotate_held_out(teacher, batches),
        pseudo_labels=pseudo_labels,
    )


def fitted_once(
    path: str,
    fit: Callable[[], FittedCorrections],
    *,
    origin: str,
    strategy: tf.distribute.Strategy,
    before_writing: Callable[[], None],
) -> FittedCorrections:
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


def _read(path: str, origin: str) -> FittedCorrections | None:
    try:
        return read_fitted_to(path, origin=origin)
    except DamagedFileError as error:
        warnings.warn(f"{error} They are fitted again.", stacklevel=2)
        return None
