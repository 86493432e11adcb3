"""The callback that keeps every epoch, and goes on from the last one kept."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_noisy_student.callback_state import CallbackStates
from keras_noisy_student.run_directory.epoch_checkpoints import EpochCheckpoint


class EpochCheckpointing(keras.callbacks.Callback):
    """Saves the state of training after every epoch.

    It has to be the last callback: others reset themselves when training begins, and change logs and learning rate when
    an epoch ends.

    Args:
        save: is given a checkpoint after every epoch.
        resume_from: the checkpoint to go on from; `None` at the beginning of a round.
        callbacks: the user's, whose states are kept.

    Attributes:
        logs: a list for each log, with an entry for each epoch from the first one of the round.
        num_epochs: epochs of the checkpoint to go on from.
        has_stopped: whether a callback ended the training there.
        callbacks: the user's.
    """

    def __init__(
        self,
        save: Callable[[EpochCheckpoint], None],
        *,
        resume_from: EpochCheckpoint | None,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        super().__init__()
        self.logs: dict[str, list[float]] = {} if resume_from is None else dict(resume_from.logs)
        self.num_epochs = 0 if resume_from is None else resume_from.num_epochs
        self.has_stopped = resume_from is not None and resume_from.has_stopped
        self.callbacks = list(callbacks)
        self._save = save
        self._resume_from = resume_from
        self._warned_of: set[str] = set()

    def on_train_begin(self, logs: object = None) -> None:
        """Restores the student and the states of the other callbacks."""
        self._states = CallbackStates(self.callbacks)
        if self._resume_from is not None:
            self.model.set_training_state(self._resume_from.variables)
            self._states.set(self._resume_from.callbacks)
            self._resume_from = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Saves a checkpoint.

        Raises:
            ValueError: when a weight is not finite.
        """
        for name, value in (logs or {}).items():
            # A log that is new, such as `skipped_steps` of a run that had stopped, was not counted before.
            earlier = self.logs.get(name, [float("nan")] * epoch)
            self.logs[name] = [*earlier, float(value)]
        variables = self.model.get_training_state()
        _check_finite(variables, epoch)
        states = self._states.get()
        self._warn_of_lost(states)
        self._save(
            EpochCheckpoint(
                num_epochs=epoch + 1,
                logs=self.logs,
                has_stopped=bool(self.model.stop_training),
                callbacks=states,
                variables=variables,
            )
        )

    def _warn_of_lost(self, states: Sequence[dict[str, Any]]) -> None:
        """Says at once what a run that goes on will refuse."""
        for state in states:
            if state["lost"] and state["class"] not in self._warned_of:
                self._warned_of.add(state["class"])
                warnings.warn(
                    f"If this round is stopped, it cannot go on with the callback {state['class']}: its "
                    f"{', '.join(state['lost'])} changes in training and cannot be kept. Give it `get_state()` and "
                    "`set_state(state)`, which may do nothing if nothing depends on that.",
                    stacklevel=2,
                )


def _check_finite(variables: Sequence[np.ndarray], epoch: int) -> None:
    """The last update may overflow although loss and gradients are finite, and would be the last good state."""
    if not all(np.isfinite(array).all() for array in variables if keras.backend.is_float_dtype(array.dtype.name)):
        raise ValueError(
            f"Weights and optimizer must be finite. Received: NaN or infinity at the end of epoch {epoch + 1}, which "
            "is not kept. Lower the learning rate or clip the gradients (`clipnorm`), of this round alone by an "
            "optimizer given as a function of the round index."
        )
