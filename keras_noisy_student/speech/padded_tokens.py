"""Token sequences of different lengths in one array: `(sequences, longest)`, filled up with `PADDING` at the ends."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

PADDING = -1


def pad_tokens(sequences: Sequence[Sequence[int]], *, length: int | None = None) -> np.ndarray:
    """Writes token sequences as one array.

    Args:
        sequences: token ids of each sequence.
        length: of the rows; that of the longest sequence by default.

    Returns:
        int32 `(sequences, length)`.

    Raises:
        ValueError: for a sequence longer than that, which is named.

    Example:
        >>> pad_tokens([[4, 2], [], [7]])
        array([[ 4,  2],
               [-1, -1],
               [ 7, -1]], dtype=int32)
    """
    longest = max(map(len, sequences), default=0)
    length = longest if length is None else length
    if longest > length:
        where = next(place for place, sequence in enumerate(sequences) if len(sequence) > length)
        raise ValueError(
            f"`sequences` must have at most length={length} tokens. Received: {len(sequences[where])} in sequence "
            f"{where}. Pass a larger `length`."
        )
    padded = np.full((len(sequences), length), PADDING, np.int32)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


def num_tokens(tokens: tf.Tensor) -> tf.Tensor:
    """The length of each sequence, int32 `(sequences,)`."""
    return tf.reduce_sum(tf.cast(tokens != PADDING, tf.int32), axis=-1)


def closed_up(tokens: tf.Tensor, is_kept: tf.Tensor) -> tf.Tensor:
    """The tokens that are kept, in their order and without gaps, in rows as long as before.

    Example:
        >>> closed_up(tf.constant([[5, 6, 7]]), tf.constant([[False, True, True]])).numpy()
        array([[ 6,  7, -1]], dtype=int32)
    """
    order = tf.argsort(tf.cast(~is_kept, tf.int32), axis=-1, stable=True)
    num_kept = tf.reduce_sum(tf.cast(is_kept, tf.int32), axis=-1, keepdims=True)
    is_token = tf.range(tf.shape(tokens)[-1]) < num_kept
    return tf.where(is_token, tf.gather(tokens, order, batch_dims=1), tf.cast(PADDING, tokens.dtype))
