"""`Correction`: a correction of the teacher's probabilities, fitted anew in every round."""

import abc
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap


class HeldOut(NamedTuple):
    """What the teacher says of labelled examples that it was not trained on."""

    probabilities: np.ndarray
    """float32 `(examples, num_classes)`."""
    labels: np.ndarray
    """Class ids, `(examples,)`."""


class Evidence:
    """What a correction is fitted to. All probabilities are those that the corrections before it left.

    Args:
        class_frequencies: of the labelled examples, float64 `(num_classes,)`, with the sum 1.
        held_out: computes what `held_out()` returns.
        pool_mean: computes what `pool_mean()` returns.
    """

    def __init__(
        self,
        class_frequencies: np.ndarray,
        *,
        held_out: Callable[[], HeldOut],
        pool_mean: Callable[[], np.ndarray],
    ) -> None:
        self.class_frequencies = class_frequencies
        self._held_out = held_out
        self._pool_mean = pool_mean

    def held_out(self) -> HeldOut:
        """The teacher on `validation_data`; for corrections with `needs_validation`."""
        return self._held_out()

    def pool_mean(self) -> np.ndarray:
        """The mean probabilities over the pool, float64 `(num_classes,)`; for corrections with `needs_pool`."""
        return self._pool_mean()


class Correction(abc.ABC):
    """Corrects the teacher's probabilities before selection; subclass it for a correction of your own.

    A frozen data class is told from another one by its fields when a run goes on; any other class by its name.

    Attributes:
        needs_validation: whether it is fitted to `validation_data`, which `fit_rounds` then asks for.
        needs_pool: whether it is fitted to the annotated pool, which online annotation never sees.

    Example:
        >>> class Flatter(Correction):
        ...     def fit(self, evidence):
        ...         return ProbabilityMap(power=0.5)
        >>> PseudoLabeling(corrections=[Flatter(), DistributionAlignment()]).corrections[0].fit(None).power
        0.5
    """

    needs_validation: ClassVar[bool] = False
    needs_pool: ClassVar[bool] = False

    @abc.abstractmethod
    def fit(self, evidence: Evidence) -> ProbabilityMap:
        """Returns the map that corrects the probabilities of a round. The same evidence must give the same map."""
