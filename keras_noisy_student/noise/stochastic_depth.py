"""Stochastic depth: model noise that drops whole residual branches."""

from typing import Any

import keras
from keras import ops

from keras_noisy_student.argument_checks import ABOVE_0_TO_1, checked_seed

ALMOST_OFF = 1e-6
"""The drop rate of layers that `Noise` is to set: one that is built with a rate of 0 cannot drop later on."""


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class StochasticDepth(keras.layers.Layer):
    """Drops the residual branch of each example with probability `1 - survival_probability` in training.

    A student that may lose any branch is an ensemble of networks of many depths, hence harder to fit than its teacher:
    that is the point of the noise. Surviving branches are divided by `survival_probability`, so that their expectation
    is the branch itself and inference needs no correction. Call it on the branch, just before the residual add.

    Args:
        survival_probability: probability in (0, 1] that a branch is kept. `set_model_noise` may change it later.
        seed: integer seed of the masks. Default: a random one.
        **kwargs: what every `keras.layers.Layer` takes, such as `name` and `dtype`.

    Raises:
        ValueError: if `survival_probability` is not in (0, 1].

    Input shape:
        `(batch, ...)`, of any rank from 1.

    Output shape:
        That of the input.

    Example:
        >>> inputs = keras.Input((8, 8, 16))
        >>> branch = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
        >>> branch = StochasticDepth(survival_probability=0.8)(branch)
        >>> block = keras.Model(inputs, keras.layers.Add()([inputs, branch]))
        >>> block.output_shape
        (None, 8, 8, 16)

    Reference:
        Huang et al. 2016, Deep Networks with Stochastic Depth, arXiv 1603.09382.
    """

    def __init__(self, survival_probability: float = 0.8, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        ABOVE_0_TO_1.check("survival_probability", survival_probability)
        self.survival_probability = survival_probability
        self.seed = checked_seed(seed)
        # Even at a survival probability of 1: it may be lowered later, and a built layer takes no new generator.
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drops whole examples of `inputs` when `training`, else returns them unchanged."""
        if not training or self.survival_probability == 1:
            return inputs
        mask_shape = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        # float32 under every dtype policy: a bfloat16 draw has steps of 1/128, too coarse for a small drop rate.
        draws = keras.random.uniform(mask_shape, dtype="float32", seed=self.seed_generator)
        survives = draws < self.survival_probability
        return ops.where(survives, inputs / self.survival_probability, ops.zeros_like(inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns what the layer is rebuilt from."""
        return {**super().get_config(), "survival_probability": self.survival_probability, "seed": self.seed}
