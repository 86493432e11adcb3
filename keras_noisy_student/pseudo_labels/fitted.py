"""What was fitted to the teacher of a round, and the file that keeps it.

The rounds that follow need it when their teachers are others: to tell what the selection of this round kept.
"""

import dataclasses
from typing import TypeAlias

import tensorflow as tf

from keras_noisy_student.pseudo_labels.fitted_corrections import FittedCorrections
from keras_noisy_student.pseudo_labels.fitted_transcripts import FittedTranscripts
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.typed_fields import from_json

Fitted: TypeAlias = FittedCorrections | FittedTranscripts

_KINDS: dict[str, type[Fitted]] = {kind.__name__: kind for kind in (FittedCorrections, FittedTranscripts)}


def write_fitted(path: str, fitted: Fitted, *, origin: str) -> None:
    """Writes the file; `origin` tells what it was fitted to."""
    write_json(path, {"origin": origin, "kind": type(fitted).__name__, "fitted": dataclasses.asdict(fitted)})


def read_fitted(path: str) -> Fitted:
    """Reads the file.

    Raises:
        DamagedFileError: when it is missing or damaged.
    """
    return _read(path)[1]


def read_fitted_to(path: str, *, origin: str) -> Fitted | None:
    """Reads the file, or returns `None` where it was fitted to something else, or never.

    Raises:
        DamagedFileError: when it is damaged.
    """
    if not tf.io.gfile.exists(path):
        return None
    found, fitted = _read(path)
    return fitted if found == origin else None


def _read(path: str) -> tuple[str, Fitted]:
    content = read_json(path)
    try:
        return content["origin"], from_json(_KINDS[content["kind"]], content["fitted"])
    except (TypeError, KeyError) as error:
        raise DamagedFileError(f"{path} is damaged: it should hold what was fitted in a round.") from error
