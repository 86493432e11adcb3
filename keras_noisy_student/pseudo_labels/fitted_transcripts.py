"""`FittedTranscripts`: what the transcripts of a round are filtered and balanced by."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.corrected_labels import RowCorrection
from keras_noisy_student.speech.length_normalized_score import LengthNormalizedScore
from keras_noisy_student.speech.padded_tokens import num_tokens
from keras_noisy_student.tasks.task import Annotation, Task


@dataclasses.dataclass(frozen=True)
class FittedTranscripts:
    """What was fitted to the labelled data, and to the teacher on held-out data.

    Args:
        min_tokens: shorter transcripts are refused.
        token_counts: how often each token occurs in the labelled transcripts.
        mu: see `LengthNormalizedScore`; `None`, as the next two, where transcripts are not filtered.
        beta: see `LengthNormalizedScore`.
        sigma: see `LengthNormalizedScore`.
    """

    min_tokens: int
    token_counts: list[int]
    mu: float | None = None
    beta: float | None = None
    sigma: float | None = None

    def scores(self, log_scores: Any, lengths: Any) -> Any:
        """The length-normalised scores of transcripts, or the log scores as they are."""
        if self.mu is None or self.beta is None or self.sigma is None:
            return log_scores
        return LengthNormalizedScore(self.mu, self.beta, self.sigma)(log_scores, lengths)

    def row_correction(self, task: Task) -> "TranscriptCorrection":
        """What is done to rows of the store."""
        return TranscriptCorrection(self, task)

    def figures(self) -> dict[str, float | None]:
        """What the record of the round says of it: nothing."""
        return {}


@dataclasses.dataclass(frozen=True)
class TranscriptCorrection(RowCorrection):
    """Scores transcripts by their length, and refuses the shortest with minus infinity.

    Args:
        fitted: what they are scored by.
        task: decodes them.
    """

    fitted: FittedTranscripts
    task: Task

    def corrected(self, annotation: Annotation) -> Annotation:
        """The annotation with the score that selection filters by."""
        length = num_tokens(annotation.pseudo_label)
        scores = self.fitted.scores(annotation.score, tf.cast(tf.maximum(length, 1), tf.float32))
        return annotation._replace(score=tf.where(length < self.fitted.min_tokens, -np.inf, scores))

    def description(self) -> dict[str, Any]:
        """All that was fitted."""
        return dataclasses.asdict(self.fitted)
