"""`TemperatureScaling`: one temperature that makes the teacher's confidence what its accuracy is."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from keras_noisy_student.pseudo_labels.correction import Correction, Evidence, HeldOut
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap

HIGHEST_TEMPERATURE = 20.0
_NUM_HALVINGS = 40
_ROWS_AT_ONCE = 8192
_TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class TemperatureScaling(Correction):
    """Replaces `p` by `p**(1 / temperature)`, renormalised, with the temperature that suits held-out labelled data.

    It is the one of 1/20 to 20 with the smallest negative log-likelihood on the `validation_data` of `fit_rounds`. That
    is convex in `1 / temperature`: its slope is halved in until the temperature is known to the last digit. Classes
    stay the same; confidences fall for a teacher that is too sure of itself, so look at `confidence_threshold` again.

    The record of the round tells the expected calibration error of the teacher on that data before and after all
    corrections; the one after is measured where the temperature was fitted.

    Example:
        >>> PseudoLabeling(confidence_threshold=0.3, corrections=[TemperatureScaling()]).corrections
        (TemperatureScaling(),)

    Reference:
        Guo et al. 2017, On calibration of modern neural networks, arXiv 1706.04599, section 4.2.
    """

    needs_validation: ClassVar[bool] = True

    def fit(self, evidence: Evidence) -> ProbabilityMap:
        """The temperature of a round, as a power."""
        return ProbabilityMap(power=1 / best_temperature(evidence.held_out()))


def best_temperature(held_out: HeldOut) -> float:
    """The temperature with the smallest negative log-likelihood of the labels.

    Example:
        >>> held_out = HeldOut(np.float32([[0.9, 0.1]] * 3), np.array([0, 0, 1]))
        >>> round(best_temperature(held_out), 2)  # Two of three are right: 0.9 : 0.1 becomes 2 : 1.
        3.17
    """
    lowest, highest = -math.log(HIGHEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    for _ in range(_NUM_HALVINGS):
        middle = (lowest + highest) / 2
        if _slope(held_out, power=math.exp(middle)) < 0:
            lowest = middle
        else:
            highest = middle
    return math.exp(-(lowest + highest) / 2)


def _slope(held_out: HeldOut, *, power: float) -> float:
    """The derivative of the negative log-likelihood by the power, which rises with it."""
    total = 0.0
    for first in range(0, len(held_out.labels), _ROWS_AT_ONCE):
        labels = held_out.labels[first : first + _ROWS_AT_ONCE]
        logs = np.log(np.maximum(held_out.probabilities[first : first + _ROWS_AT_ONCE].astype(np.float64), _TINY))
        weights = np.exp(power * (logs - logs.max(axis=-1, keepdims=True)))
        means = (weights * logs).sum(axis=-1) / weights.sum(axis=-1)
        total += float((means - logs[np.arange(len(labels)), labels]).sum())
    return total
