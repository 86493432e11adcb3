"""Fit: finds what the transcripts of a round are filtered and balanced by."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.fitted_transcripts import FittedTranscripts
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.pseudo_labels.transcript_labeling import TranscriptLabeling
from keras_noisy_student.speech.length_normalized_score import LengthNormalizedScore
from keras_noisy_student.speech.padded_tokens import num_tokens
from keras_noisy_student.tasks.transcription import Transcription


def fit_transcripts(
    labeling: TranscriptLabeling,
    task: Transcription,
    *,
    labels: np.ndarray,
    teacher: Teacher,
    held_out: tf.data.Dataset | None,
) -> FittedTranscripts:
    """Counts the tokens of the labelled transcripts, and fits the score to what the teacher says of held-out data.

    Args:
        labeling: of the round.
        task: whose tokens they are.
        labels: tokens of the labelled transcripts.
        teacher: what annotates.
        held_out: batches of labelled examples `(x, y)`, where there are any.

    Raises:
        ValueError: when the score cannot be fitted.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(task.vocabulary)).tolist()
    if not labeling.is_filtered or held_out is None:
        return FittedTranscripts(labeling.min_tokens, counts)
    score = _fitted_score(teacher, held_out)
    return FittedTranscripts(labeling.min_tokens, counts, score.mu, score.beta, score.sigma)


def _fitted_score(teacher: Teacher, held_out: tf.data.Dataset) -> LengthNormalizedScore:
    def annotate(x: Any, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del y
        annotation = teacher.annotate(x)
        return annotation.score, num_tokens(annotation.pseudo_label)

    annotate_in_graph = tf.function(annotate).get_concrete_function(*held_out.element_spec)
    annotated = [annotate_in_graph(x, y) for x, y in held_out.prefetch(tf.data.AUTOTUNE)]
    scores, lengths = (np.concatenate(column) for column in zip(*annotated, strict=True))
    try:
        return LengthNormalizedScore.fit(scores, lengths)
    except ValueError as error:
        raise ValueError(
            f"The length-normalised score cannot be fitted to what the teacher says of `validation_data`: {error} Or "
            "keep all transcripts with score_cutoff=-math.inf."
        ) from error
