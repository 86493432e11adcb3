"""The states of callbacks, so that early stopping and the like go on where a stopped run left them."""

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_noisy_student.tensorboard_rounds import check_tensorboard_is_installed

_STATE: dict[type[keras.callbacks.Callback], tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter", "best"),
    keras.callbacks.ModelCheckpoint: ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
}
_MADE_ANEW = ("monitor_op", "min_delta", "_current_epoch")
"""What those callbacks derive from their arguments or the epoch."""
_WITHOUT_STATE = (
    keras.callbacks.CSVLogger,
    keras.callbacks.History,
    keras.callbacks.LambdaCallback,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
    keras.callbacks.TerminateOnNaN,
)
_REFUSED = {
    keras.callbacks.BackupAndRestore: "the run directory keeps every epoch and continues from it",
    keras.callbacks.SwapEMAWeights: "with `use_ema=True` the averaged weights are the ones that count anyway",
}
_OF_EVERY_CALLBACK = ("model", "_model", "params", "validation_data")


def check_callbacks(callbacks: Any) -> None:
    """Raises a `ValueError` for what is no list of callbacks, or for a callback that does what a run does itself.

    Raises an `ImportError` for one whose package is missing.
    """
    if callbacks is None:
        return
    if not isinstance(callbacks, list | tuple):
        raise ValueError(
            "`callbacks` must be a list of Keras callbacks, or a function of the round index that returns one. "
            f"Received: {type(callbacks).__name__}."
        )
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(f"`callbacks` must hold Keras callbacks. Received: {type(callback).__name__}.")
        for refused, reason in _REFUSED.items():
            if isinstance(callback, refused):
                raise ValueError(f"`callbacks` must not hold {refused.__name__}: {reason}. Remove it.")
    check_tensorboard_is_installed(callbacks)


def append_to_logs(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Has `CSVLogger` go on with the file that it began, where training goes on in the middle of a round."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger):
            callback.append = True


class CallbackStates:
    """Reads and restores the states of callbacks.

    Those of Keras are known. The state of any other callback is kept if it has
    `get_state()`, which returns nested dicts, lists, numbers, strings and NumPy arrays, and `set_state(state)`. If it
    has not, and its attributes change in training, it is remembered by name: it cannot go on.

    Args:
        callbacks: in the order in which they are called.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self._callbacks = list(callbacks)
        self._before = [_snapshot(callback) for callback in callbacks]

    def get(self) -> list[dict[str, Any]]:
        """For each callback its class and its state, or the attributes that cannot be kept."""
        return [self._state(place) for place in range(len(self._callbacks))]

    def set(self, states: Sequence[dict[str, Any]]) -> None:
        """Restores what `get` returned, each state into the callback of the same class.

        Raises:
            ValueError: when one of the states has no such callback, or could not be kept.
        """
        waiting = list(self._callbacks)
        for state in states:
            callback = next((c for c in waiting if type(c).__name__ == state["class"]), None)
            if callback is None and not state["state"]:
                continue
            if callback is None:
                raise ValueError(
                    f"`callbacks` must hold those that the round was begun with. Received: no {state['class']}, of "
                    "which a state was kept. Pass it again, or delete the checkpoints of the round to train it anew."
                )
            waiting.remove(callback)
            if state["lost"] and not _has_state_methods(callback):
                raise ValueError(
                    f"The callback {state['class']} cannot go on where it was: its {', '.join(state['lost'])} changed "
                    "in training and could not be kept. To resolve this, do one of the following: remove it; give it "
                    "`get_state()` and `set_state(state)`, which may do nothing if nothing depends on that; or delete "
                    "the checkpoints of the round to train it anew."
                )
            if state["lost"]:
                warnings.warn(
                    f"The checkpoint holds no state of {state['class']}, which could not give any then: it begins "
                    "anew.",
                    stacklevel=2,
                )
            else:
                _set_state(callback, state["state"])

    def _state(self, place: int) -> dict[str, Any]:
        callback = self._callbacks[place]
        state, lost = {}, []
        if _has_state_methods(callback):
            state = callback.get_state()
        elif type(callback) not in _WITHOUT_STATE:
            known = [names for kind, names in _STATE.items() if isinstance(callback, kind)]
            state = {name: getattr(callback, name) for names in known for name in names if hasattr(callback, name)}
            ignored = {*state, *(_MADE_ANEW if known else ())}
            lost = [name for name in _changed(self._before[place], _snapshot(callback)) if name not in ignored]
        return {"class": type(callback).__name__, "state": state, "lost": lost}


def _set_state(callback: keras.callbacks.Callback, state: Any) -> None:
    if _has_state_methods(callback):
        callback.set_state(state)
        return
    for name, value in state.items():
        setattr(callback, name, value)


def _has_state_methods(callback: keras.callbacks.Callback) -> bool:
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def _snapshot(callback: keras.callbacks.Callback) -> dict[str, str]:
    """What tells whether an attribute changed. A change inside an object, such as a metric, is not seen."""
    return {name: _mark(value) for name, value in vars(callback).items() if name not in _OF_EVERY_CALLBACK}


def _mark(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if value is None or isinstance(value, bool | int | float | str | list | tuple | dict | set):
        return repr(value)
    return str(id(value))


def _changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(name for name, mark in after.items() if before.get(name) != mark)
