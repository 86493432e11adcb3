"""The EMA rule: with `use_ema=True` the averaged weights are the ones that count.

They evaluate (validation inside `fit` too), annotate, get saved, exported and promoted. Keras averages the trainable
weights, in the optimizer, and validates with the raw ones; here the moving statistics of batch normalization are
averaged with the same momentum, and whatever looks at the network between two epochs finds the averages in it.
"""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf


class StatisticsAverage:
    """A moving average of the non-trainable weights of a network (the statistics of batch normalization).

    Args:
        network: a built model.
        momentum: of the average, as the optimizer's `ema_momentum`.
    """

    def __init__(self, network: keras.Model, *, momentum: float) -> None:
        self._momentum = momentum
        self.variables = [v for v in network.non_trainable_weights if keras.backend.is_float_dtype(v.dtype)]
        self.averages = [keras.Variable(v, trainable=False, name=f"{v.name}_average") for v in self.variables]

    def update(self, step: tf.Tensor) -> None:
        """Moves the averages towards the current values; the first step (0) copies them, as Keras' optimizers do."""
        for variable, average in zip(self.variables, self.averages, strict=True):
            rate = tf.where(tf.equal(step, 0), 1.0, 1.0 - self._momentum)
            average.assign_add(tf.cast(rate, average.dtype) * (variable - average))


class AveragedWeights(keras.callbacks.Callback):
    """Shows the averaged weights to validation and to the callbacks after it, and leaves them when training ends.

    `keras.callbacks.SwapEMAWeights` does this for the trainable weights alone, and loses the average when training
    stops before the last epoch: `fit` then takes for the average the raw weights that were swapped out.

    Args:
        statistics: the averages of the non-trainable weights.
    """

    def __init__(self, statistics: StatisticsAverage) -> None:
        super().__init__()
        self._statistics = statistics
        self._raw: list[np.ndarray] | None = None

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Puts the raw weights back, to train on."""
        self._show_raw()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Shows the average to the callbacks that follow, such as `ModelCheckpoint` and `EarlyStopping`."""
        self._show_average()

    def on_test_begin(self, logs: object = None) -> None:
        """Validates the average."""
        self._show_average()

    def on_test_end(self, logs: object = None) -> None:
        """Puts the raw weights back."""
        self._show_raw()

    def on_train_end(self, logs: object = None) -> None:
        """Leaves the average in the network."""
        self._show_average()
        self._raw = None

    @contextlib.contextmanager
    def raw_weights(self) -> Iterator[None]:
        """Puts the raw weights back while the `with` block runs."""
        is_average = self._raw is not None
        self._show_raw()
        try:
            yield
        finally:
            if is_average:
                self._show_average()

    def _pairs(self) -> list[tuple[keras.Variable, keras.Variable]]:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        trainable = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
        return [*trainable, *zip(self._statistics.variables, self._statistics.averages, strict=True)]

    def _show_average(self) -> None:
        if self._raw is None:
            self._raw = [variable.numpy() for variable, _ in self._pairs()]
            for variable, average in self._pairs():
                variable.assign(average)

    def _show_raw(self) -> None:
        if self._raw is not None:
            for (variable, _), raw in zip(self._pairs(), self._raw, strict=True):
                variable.assign(raw)
            self._raw = None
