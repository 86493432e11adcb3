"""`FittedCorrections`: what the corrections of a round were fitted to be."""

import dataclasses

from keras_noisy_student.pseudo_labels.corrected_labels import ProbabilityCorrection
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.tasks.task import Task


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

    def row_correction(self, task: Task) -> ProbabilityCorrection:
        """What they do to rows of the store."""
        return ProbabilityCorrection(self.probability_map, task)

    def figures(self) -> dict[str, float | None]:
        """What the record of the round says of them."""
        return {
            "calibration_error": self.calibration_error,
            "corrected_calibration_error": self.corrected_calibration_error,
        }
