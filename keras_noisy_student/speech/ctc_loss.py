"""The loss of connectionist temporal classification, and which transcripts it can align at all."""

import tensorflow as tf

from keras_noisy_student.speech.padded_tokens import PADDING, num_tokens


def ctc_loss(tokens: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The negative log probability of transcripts, over all alignments with the frames.

    All frames count. Those of padding change nothing where the network is sure of the blank there, as `BlankPadding`
    makes it: every alignment then has one continuation, of probability 1.

    Args:
        tokens: integers `(batch, longest)`, padded with -1 at the ends; a transcript may be empty.
        logits: or log probabilities, `(batch, frames, tokens + 1)`; the last output is the blank.

    Returns:
        float32 `(batch,)`. A transcript that needs more frames than there are has a finite one too, far above all
        others, and gradients that lead nowhere: see `num_frames_needed`.

    Example:
        >>> logits = tf.math.log([[[0.5, 0.5], [0.5, 0.5]]])
        >>> tf.exp(-ctc_loss(tf.constant([[0]]), logits)).numpy()
        array([0.75], dtype=float32)

    Reference:
        Graves et al. 2006, Connectionist temporal classification.
    """
    logits = tf.cast(logits, tf.float32)
    batch_size, num_frames = tf.unstack(tf.shape(logits)[:2])
    loss: tf.Tensor = tf.nn.ctc_loss(
        tf.maximum(tf.cast(tokens, tf.int32), 0),
        logits,
        label_length=num_tokens(tokens),
        logit_length=tf.fill([batch_size], num_frames),
        logits_time_major=False,
        blank_index=-1,
    )
    return loss


def num_frames_needed(tokens: tf.Tensor) -> tf.Tensor:
    """The fewest frames that a transcript can be aligned with: equal neighbours need a blank between them.

    Args:
        tokens: integers `(transcripts, longest)`, padded with -1.

    Returns:
        int32 `(transcripts,)`.

    Example:
        >>> num_frames_needed(tf.constant([[5, 5, 7], [5, 7, -1]])).numpy()
        array([4, 2], dtype=int32)
    """
    is_repeated = (tokens[:, 1:] == tokens[:, :-1]) & (tokens[:, 1:] != PADDING)
    return num_tokens(tokens) + tf.reduce_sum(tf.cast(is_repeated, tf.int32), axis=1)
