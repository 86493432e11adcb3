"""The callback that keeps every epoch, and goes on from the last one kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

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
        self._save = save
        self._resume_from = resume_from
        self._callbacks = callbacks

    def on_train_begin(self, logs: object = None) -> None:
        """Restores the student and the states of the other callbacks."""
        self._states = CallbackStates(self._callbacks)
        if self._resume_from is not None:
            self.model.set_training_state(self._resume_from.variables)
            self._states.set(self._resume_from.callbacks)
            self._resume_from = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Saves a checkpoint."""
        self.logs = {name: [*self.logs.get(name, []), float(value)] for name, value in (logs or {}).items()}
        self._save(
            EpochCheckpoint(
                num_epochs=epoch + 1,
                logs=self.logs,
                has_stopped=self.model.stop_training,
                callbacks=self._states.get(),
                variables=self.model.get_training_state(),
            )
        )
