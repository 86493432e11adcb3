"""From the outputs of a CTC network to tokens: greedily, or by beam search, with a language model or without.

Outputs are logits `(batch, frames, tokens + 1)`, of which the last one is the blank.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from keras_noisy_student.speech.blank_padding import sure_blanks
from keras_noisy_student.speech.ctc_loss import ctc_loss
from keras_noisy_student.speech.padded_tokens import PADDING, closed_up, num_tokens

LanguageModel = Callable[[tf.Tensor], tf.Tensor]
"""From tokens `(batch, longest)`, padded with -1, to their log probabilities, float32 `(batch,)`: a graph."""


class Hypotheses(NamedTuple):
    """What a network has heard."""

    tokens: tf.Tensor
    """int32 `(batch, frames)`, padded with -1."""
    log_score: tf.Tensor
    """float32 `(batch,)`: the log probability of the tokens, with the share of a language model if there was one."""


def greedy_tokens(logits: tf.Tensor) -> tf.Tensor:
    """The most likely output of each frame, repetitions merged and blanks removed.

    Returns:
        int32 `(batch, frames)`, padded with -1.

    Example:
        >>> greedy_tokens(tf.one_hot([[0, 0, 2, 0, 1, 2]], 3)).numpy()
        array([[ 0,  0,  1, -1, -1, -1]], dtype=int32)
    """
    blank = logits.shape[-1] - 1
    best = tf.argmax(logits, axis=-1, output_type=tf.int32)
    before = tf.pad(best, [[0, 0], [1, 0]], constant_values=blank)[:, :-1]
    return closed_up(best, (best != blank) & (best != before))


def greedy_hypotheses(logits: tf.Tensor) -> Hypotheses:
    """The greedy tokens, scored by all of their alignments, not by the best one alone."""
    tokens = greedy_tokens(logits)
    # The loss takes the square of the width of its labels.
    longest = tf.maximum(tf.reduce_max(num_tokens(tokens)), 1)
    return Hypotheses(tokens, -ctc_loss(tokens[:, :longest], logits))


def beam_hypotheses(
    logits: tf.Tensor,
    *,
    beam_width: int,
    language_model: LanguageModel | None = None,
    language_model_weight: float = 0.0,
) -> Hypotheses:
    """The best path of a beam search, by its log probability plus the weighted one of a language model.

    The language model ranks the paths that the search ends with. It does not guide the search, as shallow fusion would:
    `beam_width` paths must hold the one that it prefers.

    Args:
        logits: `(batch, frames, tokens + 1)`.
        beam_width: paths that are followed.
        language_model: scores their tokens.
        language_model_weight: of its log probabilities, beside those of the network.
    """
    batch_size, num_frames = tf.unstack(tf.shape(logits)[:2])
    logits, num_paths, num_outputs = tf.cast(logits, tf.float32), 1, logits.shape[2]
    if language_model is not None:
        if logits.shape[1] is None:
            # So that there are paths enough, however few frames there are.
            logits = tf.concat([logits, sure_blanks([batch_size, beam_width, num_outputs])], axis=1)
        num_paths = _num_paths(logits.shape[1] or beam_width, num_outputs - 1, beam_width)
    paths, log_probabilities = tf.nn.ctc_beam_search_decoder(
        tf.transpose(logits, [1, 0, 2]),
        tf.fill([batch_size], tf.shape(logits)[1]),
        beam_width=beam_width,
        top_paths=num_paths,
    )
    tokens = tf.stack([_dense(path, batch_size, num_frames) for path in paths], axis=1)
    scores = log_probabilities
    if language_model is not None:
        of_language = language_model(tf.reshape(tokens, [batch_size * num_paths, num_frames]))
        scores += language_model_weight * tf.reshape(of_language, [batch_size, num_paths])
    best = tf.argmax(scores, axis=1)
    return Hypotheses(tf.gather(tokens, best, batch_dims=1), tf.gather(scores, best, batch_dims=1))


def _num_paths(num_frames: int, num_tokens: int, beam_width: int) -> int:
    """How many paths the search surely ends with, at most `beam_width`: TensorFlow refuses to return more.

    As many as there are transcripts without equal neighbours, which take a frame for each token.
    """
    num_paths = of_length = 1
    for length in range(num_frames):
        of_length *= num_tokens - (length > 0)
        num_paths += of_length
        if num_paths >= beam_width:
            return beam_width
    return num_paths


def _dense(path: tf.SparseTensor, batch_size: tf.Tensor, num_frames: tf.Tensor) -> tf.Tensor:
    shape = tf.cast([batch_size, num_frames], tf.int64)
    reshaped = tf.SparseTensor(path.indices, tf.cast(path.values, tf.int32), shape)
    return tf.sparse.to_dense(reshaped, default_value=PADDING)
