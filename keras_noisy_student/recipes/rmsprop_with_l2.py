"""`RMSpropWithL2`: the paper's optimizer, whose weight decay is part of the gradient."""

import math
from typing import Any

import keras

from keras_noisy_student.argument_checks import Interval

_FROM_0 = Interval(0, math.inf, includes_low=True)


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class RMSpropWithL2(keras.optimizers.RMSprop):
    """RMSprop that adds `l2 * variable` to each gradient, as a loss of `l2 / 2 * sum(variable ** 2)` would.

    The `weight_decay` of Keras is another thing: it shrinks a variable by `learning_rate * weight_decay` beside the
    gradient. What is part of the gradient goes through momentum and is divided by the root of the mean square: with
    the paper's momentum of 0.9 and epsilon of 0.001 the same number decays up to 316 times as fast.

    `exclude_from_weight_decay(var_names=["gamma", "beta"])` leaves out batch normalization. The loss that is logged
    does not contain the decay.

    Args:
        learning_rate: a number or a `keras.optimizers.schedules.LearningRateSchedule`.
        l2: 0 or more; the "weight decay" of the paper.
        **kwargs: those of `keras.optimizers.RMSprop`.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> optimizer = RMSpropWithL2(0.01, l2=1e-5, momentum=0.9, epsilon=1e-3)
        >>> optimizer.exclude_from_weight_decay(var_names=["gamma", "beta"])
        >>> optimizer.get_config()["l2"]
        1e-05
    """

    def __init__(self, learning_rate: Any = 0.001, *, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        _FROM_0.check("l2", l2)
        self.l2 = float(l2)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable."""
        if self.l2 > 0 and self._use_weight_decay(variable):
            gradient = gradient + self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "l2": self.l2}
