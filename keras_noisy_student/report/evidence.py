"""`RoundEvidence`: what the report has to know of a round to draw it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from keras_noisy_student.history import RoundRecord
from keras_noisy_student.pseudo_labels.calibration import CalibrationBins
from keras_noisy_student.pseudo_labels.score_histogram import ScoreHistogram


@dataclasses.dataclass(frozen=True)
class PoolExample:
    """An example of the pool, with what the teacher said of it.

    Args:
        row: its place in what the round annotated.
        x: the example, NumPy arrays.
        text: the pseudo-label, as people read it.
        score: of the teacher.
        true_text: the audit label, as people read it, if there is one.
    """

    row: int
    x: Any
    text: str
    score: float
    true_text: str | None = None


@dataclasses.dataclass(frozen=True)
class NoisedExample:
    """A labelled example, and what the noise of the round makes of it.

    Args:
        x: the example, NumPy arrays.
        noised: drawn several times.
    """

    x: Any
    noised: Sequence[Any]


@dataclasses.dataclass(frozen=True)
class RoundEvidence:
    """One finished round.

    Args:
        record: of the round.
        class_names: of all classes.
        threshold: above which a score is kept.
        scores: of the annotated pool; `None` where nothing is stored.
        calibration: of the network that the round trained, on the validation data; `None` without such data, or where
            labels are no classes.
        galleries: examples of the pool by the title of the gallery.
        num_searched: examples at the beginning of the pool that the galleries are chosen from.
        noised: labelled examples with their noise; empty where the round has no input noise.
    """

    record: RoundRecord
    class_names: Sequence[str]
    threshold: float = 0.0
    scores: ScoreHistogram | None = None
    calibration: CalibrationBins | None = None
    galleries: Mapping[str, Sequence[PoolExample]] = dataclasses.field(default_factory=dict)
    num_searched: int = 0
    noised: Sequence[NoisedExample] = ()

    @property
    def example(self) -> Any:
        """An example to find out how such examples are drawn; `None` where there is none."""
        pool = [example.x for examples in self.galleries.values() for example in examples]
        return next(iter([*(each.x for each in self.noised), *pool]), None)
