"""`NGramModel`: a small language model of transcripts, to rank what a beam search has heard."""

import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.speech.padded_tokens import PADDING, num_tokens

MAX_TABLE_SIZE = 1 << 26
"""Numbers in the table of an n-gram model: 256 MB."""


class NGramModel:
    """Log probabilities of token sequences: each token, and the end, given the `order - 1` tokens before.

    Interpolated Witten-Bell smoothing: the probability of what never followed a context comes from the next shorter
    one, and in the end from all tokens alike. All probabilities stand in one table of `(vocabulary_size + 1)**order`
    numbers, which suits characters, digits and small vocabularies of words.

    Args:
        transcripts: token ids `(transcripts, longest)`, padded with -1: see `pad_tokens`.
        vocabulary_size: number of tokens.
        order: the n of the n-grams.

    Call arguments:
        tokens: integers `(batch, longest)`, padded with -1.

    Returns:
        The log probability of each sequence and its end, in nats, float32 `(batch,)`.

    Raises:
        ValueError: for tokens that are none, or a table that would be too large.

    Example:
        >>> model = kns.speech.NGramModel(kns.speech.pad_tokens([[0, 1], [0, 1], [1]]), vocabulary_size=2, order=2)
        >>> model(tf.constant([[0, 1], [1, 0]])).numpy().round(2)
        array([-1.09, -5.86], dtype=float32)

    Reference:
        Witten and Bell 1991; Chen and Goodman 1998, An empirical study of smoothing techniques for language modeling.
    """

    def __init__(self, transcripts: np.ndarray, *, vocabulary_size: int, order: int = 3) -> None:
        check_count("vocabulary_size", vocabulary_size)
        check_count("order", order)
        if (vocabulary_size + 1) ** order > MAX_TABLE_SIZE:
            raise ValueError(
                f"The table of an n-gram model must have at most {MAX_TABLE_SIZE:,} numbers, (vocabulary_size + 1)**"
                f"order of them. Received: vocabulary_size={vocabulary_size}, order={order}. Lower `order`, or pass a "
                "function of your own as language model."
            )
        self.vocabulary_size = int(vocabulary_size)
        self.order = int(order)
        transcripts = _checked_transcripts(transcripts, self.vocabulary_size)
        self._log_probabilities = np.log(self._probabilities(transcripts)).astype(np.float32)

    def __call__(self, tokens: tf.Tensor) -> tf.Tensor:
        """The log probability of each sequence."""
        tokens = tf.cast(tokens, tf.int32)
        length = num_tokens(tokens)[:, None]
        first = tf.fill([tf.shape(tokens)[0], self.order - 1], self._edge)
        padded = tf.pad(tokens, [[0, 0], [0, 1]], constant_values=PADDING)
        places = tf.range(tf.shape(padded)[1])
        sequence = tf.concat([first, tf.where(places < length, padded, self._edge)], axis=1)
        log_probabilities = tf.gather(tf.constant(self._log_probabilities), self._ngrams(sequence, self.order))
        return tf.reduce_sum(tf.where(places <= length, log_probabilities, 0.0), axis=1)

    def description(self) -> dict[str, Any]:
        """What tells it from another one when a run goes on."""
        table = hashlib.sha256(self._log_probabilities.tobytes()).hexdigest()
        return {"vocabulary_size": self.vocabulary_size, "order": self.order, "table": table}

    @property
    def _edge(self) -> int:
        """What stands before the first token, and for the end after the last one."""
        return self.vocabulary_size

    def _ngrams(self, sequence: Any, order: int) -> Any:
        """The n-grams that end in each place but the first `self.order - 1`, as numbers: arrays or tensors alike."""
        first = self.order - order
        ngrams = sequence[:, first : first + 1 - self.order or None]
        for place in range(first + 1, self.order):
            ngrams = ngrams * (self.vocabulary_size + 1) + sequence[:, place : place + 1 - self.order or None]
        return ngrams

    def _probabilities(self, transcripts: np.ndarray) -> np.ndarray:
        """Of all n-grams, `((vocabulary_size + 1)**order,)`."""
        num_outcomes = self.vocabulary_size + 1
        length = (transcripts != PADDING).sum(axis=1)
        is_counted = np.arange(transcripts.shape[1] + 1) <= length[:, None]
        sequence = np.pad(transcripts, [(0, 0), (self.order - 1, 1)], constant_values=self._edge)
        sequence = np.where(sequence == PADDING, self._edge, sequence).astype(np.int64)
        probabilities = np.full((1, num_outcomes), 1 / num_outcomes)
        for order in range(1, self.order + 1):
            ngrams = self._ngrams(sequence, order)[is_counted]
            counts = np.bincount(ngrams, minlength=num_outcomes**order).reshape(-1, num_outcomes)
            num_kinds = (counts > 0).sum(axis=1, keepdims=True)
            # The context without its first token stands in the last digits of its number.
            shorter = np.tile(probabilities, (len(counts) // len(probabilities), 1))
            total = counts.sum(axis=1, keepdims=True) + num_kinds
            interpolated = (counts + num_kinds * shorter) / np.maximum(total, 1)
            probabilities = np.where(total > 0, interpolated, shorter)
        return probabilities.ravel()


def _checked_transcripts(transcripts: Any, vocabulary_size: int) -> np.ndarray:
    tokens = np.asarray(transcripts)
    if tokens.ndim != 2 or not len(tokens) or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(
            "`transcripts` must be integer token ids of shape (transcripts, longest), one transcript or more. "
            f"Received: shape {tokens.shape}, dtype {tokens.dtype}. Lists of ids become such an array by `pad_tokens`."
        )
    wrong = tokens[(tokens < PADDING) | (tokens >= vocabulary_size)]
    if len(wrong):
        raise ValueError(
            f"`transcripts` must hold token ids in [0, {vocabulary_size}), and -1 for padding. Received: "
            f"{np.unique(wrong)[:10].tolist()}."
        )
    return tokens
