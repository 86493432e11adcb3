"""`DistributionAlignment`: moves the classes of the pseudo-labels towards the shares they have in the labelled data."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_noisy_student.pseudo_labels.correction import Correction, Evidence
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap

_SMALL = 1e-6


@dataclasses.dataclass(frozen=True)
class DistributionAlignment(Correction):
    """Multiplies each probability by the share of its class in the labelled data over its mean in the pool.

    The products are renormalised. A class that the teacher prefers loses, one that it neglects gains, in the targets as
    in confidence and class. One such step moves the mean towards the shares; it need not reach them. It is for a pool
    whose classes are distributed as those of the labelled data. The mean is that over all examples that the round
    annotates, where the authors average over the last batches; as in their code 1e-6 is added to both, so that a class
    that the teacher never sees has a limit.

    Example:
        >>> PseudoLabeling(corrections=[TemperatureScaling(), DistributionAlignment()]).corrections
        (TemperatureScaling(), DistributionAlignment())

    Reference:
        Berthelot et al. 2019, ReMixMatch, arXiv 1911.09785, section 3.1.
    """

    needs_pool: ClassVar[bool] = True

    def fit(self, evidence: Evidence) -> ProbabilityMap:
        """The weights of the classes in a round."""
        weights = (_SMALL + evidence.class_frequencies) / (_SMALL + evidence.pool_mean())
        return ProbabilityMap(log_weights=tuple(np.log(weights)))
