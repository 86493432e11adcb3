"""`WarmUpStaircase`: the paper's learning rate."""

import math
from typing import Any

import keras
from keras import ops

from keras_noisy_student.argument_checks import ABOVE_0_TO_1, POSITIVE, Interval

_FROM_0 = Interval(0, math.inf, includes_low=True)


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class WarmUpStaircase(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in a straight line, then falls by a factor every so many steps.

    `peak * step / warm_up_steps` during the warm-up, `peak * decay_rate ** floor(step / decay_steps)` after it. The
    falls are counted from step 0, so that the peak itself is reached only where the warm-up ends before the first.

    Args:
        peak: the learning rate at which the warm-up aims, above 0.
        warm_up_steps: length of the warm-up, 0 (none) or more; need not be whole.
        decay_steps: steps from one fall to the next, above 0; need not be whole.
        decay_rate: factor of each fall, in (0, 1].

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> schedule = WarmUpStaircase(1.0, warm_up_steps=4, decay_steps=3, decay_rate=0.5)
        >>> [float(schedule(step)) for step in range(8)]
        [0.0, 0.25, 0.5, 0.75, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, peak: float, *, warm_up_steps: float, decay_steps: float, decay_rate: float = 0.97) -> None:
        super().__init__()
        POSITIVE.check("peak", peak)
        _FROM_0.check("warm_up_steps", warm_up_steps)
        POSITIVE.check("decay_steps", decay_steps)
        ABOVE_0_TO_1.check("decay_rate", decay_rate)
        self.peak = float(peak)
        self.warm_up_steps = float(warm_up_steps)
        self.decay_steps = float(decay_steps)
        self.decay_rate = float(decay_rate)

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, counted from 0: a float32 scalar."""
        step = ops.cast(step, "float32")
        num_falls = ops.floor(step / self.decay_steps)
        decayed = self.peak * ops.power(ops.cast(self.decay_rate, "float32"), num_falls)
        rising = self.peak * step / max(self.warm_up_steps, 1.0)
        return ops.where(step < self.warm_up_steps, rising, decayed)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("peak", "warm_up_steps", "decay_steps", "decay_rate")
        return {name: getattr(self, name) for name in names}
