"""The optimizer that the paper's experiments share, at a given learning rate and weight decay."""

from typing import Any

from keras_noisy_student.recipes.rmsprop_with_l2 import RMSpropWithL2

BATCH_NORMALIZATION = ["gamma", "beta"]
"""Names of the variables that are not decayed. The biases of other layers are."""


def paper_optimizer(learning_rate: Any, *, l2: float, ema_momentum: float = 0.9999) -> RMSpropWithL2:
    """RMSprop as in the released code, which averages the weights over some 10,000 steps.

    Two things differ early in a run. That code lets the average follow faster in its first 90,000 steps, `min(0.9999,
    (1 + step) / (10 + step))`, where Keras has 0.9999 from the second step on: a much shorter run needs an
    `ema_momentum` of its own. And its mean square begins at 1, that of Keras at 0, which the warm-up makes up for.
    """
    optimizer = RMSpropWithL2(
        learning_rate, l2=l2, rho=0.9, momentum=0.9, epsilon=1e-3, use_ema=True, ema_momentum=ema_momentum
    )
    optimizer.exclude_from_weight_decay(var_names=BATCH_NORMALIZATION)
    return optimizer
