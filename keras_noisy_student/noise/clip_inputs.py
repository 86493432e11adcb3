"""What clips look like: tensors of images over time."""

from typing import Any

import tensorflow as tf

_FIX = "take a smaller `num_frames`, or repeat frames of the short clips"


def check_clips(clips: Any) -> None:
    """Checks the rank of clips, be they a tensor or symbolic.

    Args:
        clips: `(batch, time, height, width, channels)` or `(time, height, width, channels)`.

    Raises:
        ValueError: for another rank.

    Example:
        >>> check_clips(tf.zeros((2, 16, 32, 32, 3)))
    """
    shape = tf.TensorShape(clips.shape)
    if shape.rank not in (4, 5):
        raise ValueError(
            "`clips` must have shape `(batch, time, height, width, channels)` or `(time, height, width, channels)`. "
            f"Received: clips of shape {shape}."
        )


def check_length(clips: Any, *, at_least: int, why: str, fix: str = _FIX) -> None:
    """Checks the rank of clips, and their number of frames as far as it is known.

    Args:
        clips: see `check_clips`.
        at_least: frames that they must have.
        why: the end of the sentence that says so: "..., which ".
        fix: the end of the sentence that says what to do: "To resolve this, ".

    Raises:
        ValueError: for another rank, or clips that are too short.

    Example:
        >>> check_length(tf.zeros((2, 16, 32, 32, 3)), at_least=8, why="`num_frames` takes")
    """
    check_clips(clips)
    length = clips.shape[-4]
    if length is not None and length < at_least:
        raise ValueError(
            f"{_expected(at_least, why)} Received: clips of shape {tuple(clips.shape)}. To resolve this, {fix}."
        )


def checked_length(clips: tf.Tensor, *, at_least: int, why: str, fix: str = _FIX) -> tf.Tensor:
    """The number of frames of clips, checked at run time too: XLA or a GPU fills missing frames with zeros, in silence.

    Args:
        clips: see `check_clips`.
        at_least: see `check_length`.
        why: see `check_length`.
        fix: see `check_length`.

    Returns:
        int32 scalar.

    Raises:
        ValueError: for another rank, or clips that are too short.
        tf.errors.InvalidArgumentError: for clips that are too short, if a graph is built before their length is known.

    Example:
        >>> int(checked_length(tf.zeros((2, 16, 32, 32, 3)), at_least=8, why="`num_frames` takes"))
        16
    """
    check_length(clips, at_least=at_least, why=why, fix=fix)
    length = tf.shape(clips)[-4]
    with tf.control_dependencies([tf.debugging.assert_greater_equal(length, at_least, _expected(at_least, why))]):
        return tf.identity(length)


def _expected(at_least: int, why: str) -> str:
    return f"`clips` must have {at_least} frames or more, which {why}."
