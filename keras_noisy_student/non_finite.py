"""Steps whose loss or gradients are NaN or infinite: how they are found, and what becomes of them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import check_choice
from keras_noisy_student.joint_batch import Examples

_MOST_ROWS_NAMED = 256

OnNonFinite = Literal["stop", "skip"]


class NonFiniteError(ValueError):
    """A loss or a gradient was NaN or infinite.

    Args:
        message: for the user.
        steps: the numbers of the steps, counted over all epochs, of which one was; more than one with
            `steps_per_execution`.
    """

    def __init__(self, message: str, *, steps: range) -> None:
        super().__init__(message)
        self.steps = steps


class StopOnNonFinite(keras.callbacks.Callback):
    """Raises when a step was not finite.

    `keras.callbacks.TerminateOnNaN` ends `fit` as if it had succeeded, and a useless student would be promoted.

    Args:
        non_finite_steps: counts the steps of the epoch that were not finite; the logs are `marked` by it.

    Raises:
        NonFiniteError: at the end of the step (of the last of `steps_per_execution`).
    """

    def __init__(self, non_finite_steps: keras.metrics.Sum) -> None:
        super().__init__()
        self._non_finite_steps = non_finite_steps

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Remembers the epoch and its first step, for the message."""
        self._epoch, self._next = epoch, 0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks the steps since the last call."""
        # Not `batch`: it is the last of the steps, but the first in older versions of Keras.
        first, self._next = self._next, self._next + self.model.steps_per_execution
        # To read the count takes as long as a small step, and workers wait for each other there. A mean of losses that
        # are finite but huge overflows, too.
        if np.isfinite((logs or {})["loss"]) or not keras.ops.convert_to_numpy(self._non_finite_steps.total):
            return
        loss = float(self.model.get_metrics_result()["loss"])
        received = "a gradient that is not" if np.isfinite(loss) else f"loss={loss}"
        is_one = self.model.steps_per_execution == 1
        where = f"step {first + 1}" if is_one else f"one of the steps {first + 1} to {self._next}"
        epoch_start = self._epoch * (self.params["steps"] or 0)
        raise NonFiniteError(
            f"The loss and its gradients must be finite. Received: {received} at epoch {self._epoch + 1}, {where}. "
            "Look for NaN in the examples and for labels out of range; lower the learning rate or clip the gradients "
            "(`clipnorm`), of this round alone by an optimizer given as a function of the round index; or skip such "
            'steps with `compile(on_non_finite="skip")`. Finished epochs and rounds are kept.',
            steps=range(epoch_start + first, epoch_start + self._next),
        )


def marked(logs: Mapping[str, tf.Tensor], non_finite_steps: keras.metrics.Sum) -> dict[str, tf.Tensor]:
    """The logs, whose loss is NaN once a step was not finite: `StopOnNonFinite` sees it in what Keras fetches anyway.

    Args:
        logs: of a training step.
        non_finite_steps: counts the steps of the epoch that were not finite.
    """
    return {**logs, "loss": tf.where(non_finite_steps.result() > 0, np.nan, logs["loss"])}


class StopWhenAllSkipped(keras.callbacks.Callback):
    """Raises at the end of an epoch of which every step was skipped: nothing is learnt any more.

    Raises:
        ValueError: when it was.
    """

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Compares the number of skipped steps with that of all."""
        if (logs or {})["skipped_steps"] == self.params["steps"]:
            raise ValueError(
                "Some step of an epoch must have a finite loss and finite gradients. Received: all "
                f"{self.params['steps']} steps of epoch {epoch + 1} were skipped. Lower the learning rate, clip the "
                "gradients (`clipnorm`), or look for NaN in the examples. Finished epochs and rounds are kept."
            )


@contextlib.contextmanager
def examples_named(batches_from: Callable[[int], tf.data.Dataset]) -> Iterator[None]:
    """Adds to a `NonFiniteError` of the `with` block the rows of the examples that its steps were trained on.

    Args:
        batches_from: returns the joint batches from a step on.
    """
    try:
        yield
    except NonFiniteError as error:
        batches = list(batches_from(error.steps.start).take(len(error.steps)))
        labeled, unlabeled = (_named(_rows(batches, part)) for part in (0, 1))
        raise NonFiniteError(
            f"{error} Its examples are the rows {labeled} of the labelled data and {unlabeled} of the unlabelled data.",
            steps=error.steps,
        ) from error


def _named(rows: Sequence[int]) -> str:
    more = len(rows) - _MOST_ROWS_NAMED
    return str(list(rows[:_MOST_ROWS_NAMED])) + (f" and {more} more" if more > 0 else "")


def _rows(batches: Sequence[Any], part: int) -> list[int]:
    parts = [Examples(*batch[part]) for batch in batches if part < len(batch)]
    return [int(row) for examples in parts if examples.has("row") for row in examples.row]


class ValuesBefore:
    """The values of variables at one moment of a training step, to go back to.

    Args:
        variables: Keras variables.
    """

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self._values = [(variable, tf.identity(variable.value)) for variable in variables]

    def restore_unless(self, condition: tf.Tensor) -> None:
        """Gives the variables these values back, unless the scalar `condition` is true."""
        for variable, value in self._values:
            variable.assign(tf.where(condition, variable.value, value))


def all_finite(loss: tf.Tensor, gradients: Sequence[Any]) -> tf.Tensor:
    """Whether the loss and every gradient, dense or `IndexedSlices`, holds finite numbers only: a boolean scalar."""
    tensors = [loss, *(getattr(gradient, "values", gradient) for gradient in gradients if gradient is not None)]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])


def check_on_non_finite(value: Any) -> None:
    """Raises a `ValueError` for an unknown `on_non_finite`."""
    check_choice("on_non_finite", value, ("stop", "skip"))
