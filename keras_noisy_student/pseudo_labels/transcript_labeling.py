"""`TranscriptLabeling`: how a teacher's transcripts are filtered and balanced, as one value."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import check_choice, check_count, is_number
from keras_noisy_student.pseudo_labels.averaging import ONE_TEACHER, TeacherAveraging
from keras_noisy_student.pseudo_labels.fitted_transcripts import TranscriptCorrection
from keras_noisy_student.pseudo_labels.labeling import Labeling
from keras_noisy_student.pseudo_labels.ranking import hashes
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.speech.padded_tokens import PADDING
from keras_noisy_student.speech.token_balance import balance_tokens
from keras_noisy_student.tasks.task import Annotation, Task
from keras_noisy_student.tasks.transcription import Transcription


@dataclasses.dataclass(frozen=True)
class TranscriptLabeling(Labeling):
    """How transcripts are selected in one round: the teacher's hypotheses, of which a filter keeps the surer ones.

    Args:
        score_cutoff: transcripts whose `LengthNormalizedScore` is above it are kept: 0 keeps those that are surer than
            the teacher usually is for their length, lower numbers more of them. The score is fitted in every round to
            what the teacher says of `validation_data`. The default, minus infinity, keeps all, and needs none.
        min_tokens: shorter transcripts are refused, whatever their score; at least 1, so that none is empty.
        max_repeats: balances the tokens: transcripts are used more or less often, on average once and at most so many
            times, until their tokens are distributed as those of the labelled transcripts. `None` uses each once.
        annotate: `"stored"` transcribes the pool once per round; `"kept"` does so, from round 2 on, for what the
            selection of the round before kept.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> cutoffs = [1, 0.5, 0, -1, -math.inf]  # of the paper: gradational filtering
        >>> labeling = lambda round_index: TranscriptLabeling(score_cutoff=cutoffs[round_index - 1])
        >>> labeling(2).score_cutoff
        0.5

    Reference:
        Park et al. 2020, Improved Noisy Student Training for automatic speech recognition, arXiv 2005.09629.
    """

    score_cutoff: float = -math.inf
    min_tokens: int = 1
    max_repeats: int | None = None
    annotate: Literal["stored", "kept"] = "stored"

    averaging: TeacherAveraging = dataclasses.field(default=ONE_TEACHER, init=False, repr=False)
    examples_per_class: None = dataclasses.field(default=None, init=False, repr=False)
    threshold_name: ClassVar[str] = "score_cutoff"
    refused: ClassVar[str] = "empty, shorter than `min_tokens` or longer than the task's `max_tokens`"

    def __post_init__(self) -> None:
        is_infinite = isinstance(self.score_cutoff, float) and self.score_cutoff == -math.inf
        if not is_number(self.score_cutoff) and not is_infinite:
            raise ValueError(
                "`score_cutoff` must be a number, or -math.inf to keep all. Received: score_cutoff="
                f"{self.score_cutoff!r}."
            )
        check_count("min_tokens", self.min_tokens)
        if self.max_repeats is not None:
            check_count("max_repeats", self.max_repeats)
        check_choice("annotate", self.annotate, ("stored", "kept"))

    @property
    def is_filtered(self) -> bool:
        """Whether anything but short transcripts is dropped."""
        return self.score_cutoff > -math.inf

    @property
    def fitted(self) -> Sequence[Any]:
        """What the fit depends on: whether there is a score, and how short a transcript may be."""
        return self.is_filtered, self.min_tokens

    @property
    def needs_validation(self) -> Sequence[str]:
        """The score, if there is one."""
        return ["The score that `score_cutoff` cuts"] if self.is_filtered else []

    def check_task(self, task: Task) -> None:
        """Its pseudo-labels must be transcripts."""
        if not isinstance(task, Transcription):
            raise ValueError(
                f"`TranscriptLabeling` selects the transcripts of a `Transcription`. Received: a {type(task).__name__}."
                " Pass `kns.PseudoLabeling(...)`."
            )

    def target(self, annotation: Annotation) -> tf.Tensor:
        """The tokens."""
        return annotation.pseudo_label

    def balanced(self, selection: Selection, pseudo_labels: PseudoLabels, *, seed: int) -> Selection:
        """Uses each kept transcript as often as its tokens are wanted, rounded at random with that mean.

        Takes the memory of all kept tokens.
        """
        correction = pseudo_labels.correction
        if self.max_repeats is None or not isinstance(correction, TranscriptCorrection):
            return selection
        is_kept = selection.repeats > 0
        tokens, lengths, fingerprints = _kept_transcripts(pseudo_labels, correction.task, is_kept)
        wanted = np.array(correction.fitted.token_counts)
        weights = balance_tokens(tokens, lengths, wanted, max_repeats=self.max_repeats).weights
        repeats = np.zeros(len(is_kept), np.int32)
        repeats[is_kept] = np.floor(weights + hashes(fingerprints, seed) / 2.0**64)
        return selection.with_repeats(repeats, pseudo_labels.columns)


def _kept_transcripts(
    pseudo_labels: PseudoLabels, task: Task, is_kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the rows that are kept: all tokens one after the other, their numbers, and the fingerprints."""
    found, first = [], 0
    rows = pseudo_labels.rows().map(lambda row: (task.decode(row), tf.squeeze(row["fingerprint"], axis=-1)))
    for block, fingerprints in rows.as_numpy_iterator():
        is_kept_here = is_kept[first : first + len(block)]
        tokens = block[is_kept_here]
        is_token = tokens != PADDING
        found.append((tokens[is_token], is_token.sum(axis=1), fingerprints[is_kept_here]))
        first += len(block)
    tokens, lengths, fingerprints = (np.concatenate(column) for column in zip(*found, strict=True))
    return tokens, lengths, fingerprints
