"""`FittedCorrections`: what the corrections of a round were fitted to be, and the file that keeps it.

The rounds that follow need it when their teachers are others: to tell what the selection of this round kept.
"""

import dataclasses

import tensorflow as tf

from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.typed_fields import from_json


@dataclasses.dataclass(frozen=True)
class FittedCorrections:
    """The corrections of a round, all in one.

    Args:
        power: see `ProbabilityMap`.
        log_weights: see `ProbabilityMap`.
        calibration_error: expected calibration error of the teacher on the validation data, if there is any.
        corrected_calibration_error: the same, after the corrections.
    """

    power: float
    log_weights: list[float]
    calibration_error: float | None = None
    corrected_calibration_error: float | None = None

    @property
    def probability_map(self) -> ProbabilityMap:
        """What they do."""
        return ProbabilityMap(self.power, self.log_weights)


def write_fitted(path: str, fitted: FittedCorrections, *, origin: str) -> None:
    """Writes the file; `origin` tells what they were fitted to."""
    write_json(path, {"origin": origin, "fitted": dataclasses.asdict(fitted)})


def read_fitted(path: str) -> FittedCorrections:
    """Reads the file.

    Raises:
        DamagedFileError: when it is missing or damaged.
    """
    return _read(path)[1]


def read_fitted_to(path: str, *, origin: str) -> FittedCorrections | None:
    """Reads the file, or returns `None` where they were fitted to something else, or never.

    Raises:
        DamagedFileError: when it is damaged.
    """
    if not tf.io.gfile.exists(path):
        return None
    found, fitted = _read(path)
    return fitted if found == origin else None


def _read(path: str) -> tuple[str, FittedCorrections]:
    content = read_json(path)
    try:
        return content["origin"], from_json(FittedCorrections, content["fitted"])
    except (TypeError, KeyError) as error:
        raise DamagedFileError(f"{path} is damaged: it should hold the fitted corrections of a round.") from error
