"""`ProbabilityMap`: probabilities to a power, times a weight for each class, renormalised."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import POSITIVE, is_number


@dataclasses.dataclass(frozen=True)
class ProbabilityMap:
    """What a fitted `Correction` does: `p` becomes `p**power * exp(log_weights)`, renormalised.

    One map after another is such a map too.

    Args:
        power: positive; above 1 sharper, below 1 flatter.
        log_weights: a finite number for each class; `()` leaves the classes as they are.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> twice_as_likely = ProbabilityMap(log_weights=[np.log(2), 0])
        >>> twice_as_likely(tf.constant([[0.5, 0.5]])).numpy().round(2)
        array([[0.67, 0.33]], dtype=float32)
    """

    power: float = 1.0
    log_weights: Sequence[float] = ()

    def __post_init__(self) -> None:
        if self.power not in POSITIVE:
            raise ValueError(f"`power` must be positive. Received: power={self.power!r}.")
        if not _are_numbers(self.log_weights):
            raise ValueError(
                "`log_weights` must be a sequence of finite numbers, one for each class. Received: log_weights="
                f"{self.log_weights!r}."
            )
        object.__setattr__(self, "power", float(self.power))
        object.__setattr__(self, "log_weights", tuple(float(weight) for weight in self.log_weights))

    def __call__(self, probabilities: tf.Tensor) -> tf.Tensor:
        """Maps float32 probabilities `(batch, num_classes)`; those that are 0 stay 0."""
        # Of numbers relative to the largest, high powers keep their digits.
        relative = probabilities / tf.reduce_max(probabilities, axis=-1, keepdims=True)
        logits = self.power * tf.math.log(relative)
        if self.log_weights:
            logits += tf.constant(self.log_weights, tf.float32)
        return tf.nn.softmax(logits)

    def then(self, following: "ProbabilityMap") -> "ProbabilityMap":
        """The one map that does what this one and then the `following` one do.

        Example:
            >>> ProbabilityMap(0.5, [2.0, 0.0]).then(ProbabilityMap(0.5, [0.0, 1.0]))
            ProbabilityMap(power=0.25, log_weights=(1.0, 1.0))
        """
        weights = [np.array(each.log_weights) for each in (self, following)]
        scaled = following.power * weights[0]
        log_weights = scaled + weights[1] if len(scaled) and len(weights[1]) else [*scaled, *weights[1]]
        return ProbabilityMap(self.power * following.power, tuple(log_weights))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(is_number(item) for item in value)
