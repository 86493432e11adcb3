"""Stops training at the step whose loss is not finite."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises when the loss becomes NaN or infinite.

    `keras.callbacks.TerminateOnNaN` ends `fit` as if it had succeeded, and a useless student would be promoted.

    Raises:
        ValueError: at the end of the step (of the last of `steps_per_execution`).
    """

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Remembers the epoch, for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks the running mean of the loss, which stays non-finite once a step was."""
        loss = float((logs or {})["loss"])
        if not np.isfinite(loss):
            raise ValueError(
                f"The loss must be finite. Received: loss={loss} at epoch {self._epoch + 1}, step {batch + 1}. Lower "
                "the learning rate, clip the gradients (`clipnorm`), or look for NaN in the examples and for labels "
                "out of range. Finished rounds are kept."
            )
