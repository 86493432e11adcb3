"""The joint batch: labelled and pseudo-labelled examples side by side, and the loss over both."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import is_integer, is_number

LossReduction = Literal["mean", "sum_of_means"]
LOSS_REDUCTIONS = ("mean", "sum_of_means")

MAX_BATCH_SIZE = np.iinfo(np.int32).max
"""Rows that TensorFlow can count."""

ABSENT: tuple[()] = ()
"""What a field of `Examples` holds when it is not given: an empty structure, which tf.data and tf.distribute carry."""


class Examples(NamedTuple):
    """One part of a joint batch; `(x, y)` and `(x, y, sample_weight)`, as Keras writes them, are such parts too."""

    x: Any
    """Tensors `(batch, ...)`."""
    y: Any = ABSENT
    """Class ids `(batch,)` or distributions `(batch, num_classes)`; absent when the teacher annotates online."""
    sample_weight: Any = ABSENT
    """float `(batch,)`; absent means 1."""
    noise_seed: Any = ABSENT
    """int64 keys `(batch,)` of the input noise; absent means that the student derives them from its step."""
    row: Any = ABSENT
    """int64 `(batch,)`: where each example stands in the data that the user gave; for error messages."""

    def has(self, field: Literal["y", "sample_weight", "noise_seed", "row"]) -> bool:
        """Whether the field was given."""
        return not isinstance(getattr(self, field), tuple)


def as_parts(data: Any) -> list[Examples]:
    """Reads `(labeled,)` or `(labeled, pseudo_labeled)`.

    Raises:
        ValueError: when `data` is not nested like that.
    """
    is_joint = isinstance(data, tuple) and all(isinstance(part, tuple) and 1 <= len(part) <= 5 for part in data)
    if not is_joint or not 1 <= len(data) <= 2:
        raise ValueError(
            "`NoisyStudent` trains on joint batches ((x, y), (x, pseudo_label)), where each part may have a third "
            f"item, sample_weight. Received: {_structure(data)}. Make them with `kns.joint_dataset(labeled, "
            "pseudo_labeled, ...)`, or with `tf.data.Dataset.zip`; for labelled data only, pass ((x, y),)."
        )
    return [Examples(*part) for part in data]


def check_loss_reduction(reduction: Any) -> None:
    """Raises a `ValueError` for an unknown `loss_reduction`."""
    if not isinstance(reduction, str) or reduction not in LOSS_REDUCTIONS:
        raise ValueError(f"`loss_reduction` must be one of {LOSS_REDUCTIONS}. Received: loss_reduction={reduction!r}.")


def num_rows(examples: Examples) -> int | tf.Tensor:
    """Rows of one part: static where it is known, which XLA needs."""
    first = tf.nest.flatten(examples.x)[0]
    return first.shape[0] or tf.shape(first)[0]


def num_pseudo_labeled(batch_size: int, unlabeled_ratio: float) -> int:
    """Pseudo-labelled examples in a joint batch: the nearest number to what the ratio says, the larger of two.

    Raises:
        ValueError: when the ratio is not positive, or rounds to no example or more than a batch can hold.
    """
    exact = float(batch_size) * float(unlabeled_ratio) if is_number(unlabeled_ratio) else 0.0
    # `round` takes a half to the even neighbour.
    count = math.floor(min(exact, MAX_BATCH_SIZE + 1) + 0.5)
    if not 1 <= count <= MAX_BATCH_SIZE:
        raise ValueError(
            f"`unlabeled_ratio` must give at least one unlabelled example for a batch, and {MAX_BATCH_SIZE} at most. "
            f"Received: unlabeled_ratio={unlabeled_ratio}, batch_size={batch_size}. Change either."
        )
    return count


def check_batch_size(batch_size: Any) -> None:
    """Raises a `ValueError` when `batch_size` is no number of examples."""
    if not is_integer(batch_size, at_least=1) or batch_size > MAX_BATCH_SIZE:
        raise ValueError(
            f"`batch_size` must be a positive integer, {MAX_BATCH_SIZE} at most. Received: batch_size={batch_size!r}."
        )


def joint_loss(losses: list[tf.Tensor], weights: list[tf.Tensor], *, reduction: LossReduction) -> tf.Tensor:
    """Reduces the losses of each example in the labelled and the pseudo-labelled part to one number.

    With `L` the weighted sum of a part divided by its number of rows and `r` the ratio of the rows:

    - `"mean"`: the mean over the joint batch, `(L_labeled + r * L_pseudo_labeled) / (1 + r)`.
    - `"sum_of_means"`: `L_labeled + r * L_pseudo_labeled`, as the authors' code computes it.

    Args:
        losses: one tensor `(batch,)` per part, the labelled part first.
        weights: as many tensors of the same shapes.
        reduction: which of the two.

    Returns:
        A scalar.

    Example:
        >>> losses = [tf.constant([1.0]), tf.constant([2.0, 4.0])]
        >>> weights = [tf.constant([1.0]), tf.constant([1.0, 1.0])]
        >>> float(joint_loss(losses, weights, reduction="sum_of_means"))
        7.0
    """
    total = tf.add_n([tf.reduce_sum(loss * weight) for loss, weight in zip(losses, weights, strict=True)])
    num_labeled = tf.cast(tf.size(losses[0]), total.dtype)
    num_rows = tf.cast(tf.add_n([tf.size(loss) for loss in losses]), total.dtype)
    # The last batch of an evaluation may leave a replica without rows.
    return tf.math.divide_no_nan(total, num_labeled if reduction == "sum_of_means" else num_rows)


def _structure(data: Any) -> str:
    return repr(tf.nest.map_structure(lambda tensor: getattr(tensor, "shape", type(tensor).__name__), data))
