"""`PseudoLabeling`: how the teacher's outputs become training targets, as one value."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Literal

import tensorflow as tf

from keras_noisy_student.argument_checks import FROM_0_BELOW_1, POSITIVE, check_choice, is_integer
from keras_noisy_student.pseudo_labels.averaging import ONE_TEACHER, TeacherAveraging
from keras_noisy_student.pseudo_labels.correction import Correction
from keras_noisy_student.pseudo_labels.labeling import Labeling, When
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.tasks.task import Annotation, Task
from keras_noisy_student.tasks.transcription import Transcription


@dataclasses.dataclass(frozen=True)
class PseudoLabeling(Labeling):
    """How pseudo-labels are made and selected in one round, where they are classes.

    Args:
        labels: `"soft"` trains on the teacher's probabilities, `"hard"` on its most likely class.
        temperature: soft labels become `p**(1 / temperature)`, renormalised: below 1 sharper, above 1 flatter.
        confidence_threshold: in [0, 1). Only examples whose confidence (largest probability) is above it are kept.
        examples_per_class: balances the classes. A number N keeps at most the N most confident examples of each class
            and duplicates those of a smaller class at random up to N; `"auto"` takes for N the mean number of kept
            examples of the classes that have any, rounded up, so that the selection stays about as large as it was;
            `None` leaves the classes as they are.
        annotate: `"stored"` labels the pool once per round and stores the result; `"kept"` does the same, from round 2
            on, for those examples alone that the selection of the round before kept; `"online"` stores nothing: the
            teacher runs inside the training step on the clean examples, and the threshold becomes a weight of 0 or 1.
        corrections: of the teacher's probabilities, fitted anew in every round and applied one after the other, before
            the threshold: confidences, classes and targets all change, and the store does not. For instance
            `[TemperatureScaling(), DistributionAlignment()]`.
        averaging: over several teachers or views of an example, for the probabilities that all of this starts from.

    Raises:
        ValueError: for a value out of range, or two that contradict each other.

    Example:
        >>> PseudoLabeling(labels="soft", confidence_threshold=0.3, examples_per_class="auto").labels
        'soft'

    Reference:
        Xie et al. 2019, arXiv 1911.04252, section 2 (threshold 0.3; 130,000 examples a class, duplicated where fewer).
    """

    labels: Literal["soft", "hard"] = "soft"
    temperature: float = 1.0
    confidence_threshold: float = 0.0
    examples_per_class: int | Literal["auto"] | None = None
    annotate: When = "stored"
    corrections: Sequence[Correction] = ()
    averaging: TeacherAveraging = ONE_TEACHER
    threshold_name: ClassVar[str] = "confidence_threshold"

    def __post_init__(self) -> None:
        check_choice("labels", self.labels, ("soft", "hard"))
        check_choice("annotate", self.annotate, ("stored", "kept", "online"))
        if self.temperature not in POSITIVE:
            raise ValueError(f"`temperature` must be positive. Received: temperature={self.temperature!r}.")
        FROM_0_BELOW_1.check("confidence_threshold", self.confidence_threshold)
        self._check_examples_per_class()
        self._check_corrections()
        if not isinstance(self.averaging, TeacherAveraging):
            raise ValueError(
                "`averaging` must be a TeacherAveraging, such as TeacherAveraging(num_teachers=2). Received: averaging="
                f"{self.averaging!r}."
            )
        if self.labels == "hard" and self.temperature != 1:
            raise ValueError(
                "`temperature` changes soft labels only: the most likely class stays the same. Leave it at 1, or use "
                f'labels="soft". Received: labels="hard", temperature={self.temperature}.'
            )
        if self.annotate == "online" and self.examples_per_class is not None:
            raise ValueError(
                "Classes can be balanced only over the whole annotated pool, which online annotation never sees. Use "
                'annotate="stored" or examples_per_class=None. Received: annotate="online", '
                f"examples_per_class={self.examples_per_class!r}."
            )

    @property
    def fitted(self) -> Sequence[Correction]:
        """The corrections."""
        return self.corrections

    @property
    def needs_validation(self) -> Sequence[str]:
        """The names of those that ask for it."""
        return [type(correction).__name__ for correction in self.corrections if correction.needs_validation]

    def check_task(self, task: Task) -> None:
        """Its pseudo-labels must be probabilities of classes."""
        if isinstance(task, Transcription):
            raise ValueError(
                "The pseudo-labels of a `Transcription` are transcripts, which are selected by a `TranscriptLabeling`. "
                f"Received: pseudo_labeling={self!r}. Pass `kns.TranscriptLabeling(...)`."
            )

    def target(self, annotation: Annotation) -> tf.Tensor:
        """Class ids int32 `(batch,)`, or distributions float32 `(batch, num_classes)`."""
        if self.labels == "hard":
            return annotation.class_id
        return soft_labels(annotation.pseudo_label, self.temperature)

    def _check_corrections(self) -> None:
        value = self.corrections
        if not isinstance(value, list | tuple) or not all(isinstance(item, Correction) for item in value):
            raise ValueError(
                "`corrections` must be a sequence of Correction, such as [TemperatureScaling()]. Received: corrections="
                f"{value!r}."
            )
        object.__setattr__(self, "corrections", tuple(value))
        of_pool = next((item for item in value if item.needs_pool), None)
        if self.annotate == "online" and of_pool is not None:
            raise ValueError(
                f"{type(of_pool).__name__} is fitted to the whole annotated pool, which online annotation never sees. "
                'Use annotate="stored", or leave it out. Received: annotate="online", corrections='
                f"{self.corrections!r}."
            )

    def _check_examples_per_class(self) -> None:
        value = self.examples_per_class
        if value is None or (isinstance(value, str) and value == "auto"):
            return
        if not is_integer(value, at_least=1):
            raise ValueError(
                '`examples_per_class` must be a positive integer, "auto" or None. Received: '
                f"examples_per_class={value!r}."
            )


def soft_labels(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    """`p**(1 / temperature)`, renormalised: `softmax(z / temperature)` where `p = softmax(z)`."""
    if temperature == 1:
        return probabilities
    return ProbabilityMap(power=1 / temperature)(probabilities)
