"""The edit distance between token sequences: how many tokens are to be inserted, deleted or replaced."""

import tensorflow as tf

from keras_noisy_student.speech.padded_tokens import PADDING, num_tokens


def edit_distance(references: tf.Tensor, hypotheses: tf.Tensor) -> tf.Tensor:
    """The smallest number of insertions, deletions and replacements that turn one sequence into the other.

    Unlike `tf.edit_distance` it compiles under XLA, as evaluation on a TPU must.

    Args:
        references: integers `(batch, longest)`, padded with -1 at the ends.
        hypotheses: the same, `(batch, longest)`; the longest of them may have another length.

    Returns:
        int32 `(batch,)`.

    Example:
        >>> edit_distance(tf.constant([[1, 2, 3]]), tf.constant([[1, 3, -1]])).numpy()
        array([1], dtype=int32)
    """
    # One more column, so that there is always something to compare with.
    hypotheses = tf.pad(hypotheses, [[0, 0], [0, 1]], constant_values=PADDING)
    length = tf.range(tf.shape(references)[1] + 1)[None, :]
    end = num_tokens(references)
    end_diagonal = end + num_tokens(hypotheses)

    def next_diagonal(
        diagonal: tf.Tensor, before: tf.Tensor, last: tf.Tensor, distance: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The distances of all beginnings that have `diagonal` tokens together, by the length of the reference's."""
        # Beyond either end of the hypothesis anything may stand: no path from there leads back to a valid distance.
        places = tf.clip_by_value(diagonal - 1 - length[0, 1:], 0, width - 1)
        compared = tf.gather(hypotheses, places, axis=1)
        replaced = before[:, :-1] + tf.cast(references != compared, tf.int32)
        inserted_or_deleted = tf.minimum(last[:, 1:], last[:, :-1]) + 1
        distances = tf.pad(tf.minimum(replaced, inserted_or_deleted), [[0, 0], [1, 0]])
        # Where one of the two beginnings is empty.
        is_edge = (length == 0) | (length >= diagonal)
        distances = tf.where(is_edge, diagonal, distances)
        found = tf.gather(distances, end, batch_dims=1)
        return diagonal + 1, last, distances, tf.where(end_diagonal == diagonal, found, distance)

    width = tf.shape(hypotheses)[1]
    # Of long rows of padding nothing is looked at.
    num_diagonals = tf.reduce_max(end_diagonal)
    nothing = tf.zeros([tf.shape(references)[0], tf.shape(references)[1] + 1], tf.int32)
    *_, distance = tf.while_loop(
        lambda diagonal, *_: diagonal <= num_diagonals,
        next_diagonal,
        (tf.constant(1), nothing, nothing, tf.zeros_like(end)),
    )
    return distance
