"""`Transcription`: a sequence of tokens per utterance, learnt by connectionist temporal classification."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import check_count, is_number
from keras_noisy_student.speech.blank_padding import is_sure_of_blank
from keras_noisy_student.speech.ctc_loss import ctc_loss, num_frames_needed
from keras_noisy_student.speech.decoding import (
    Hypotheses,
    LanguageModel,
    beam_hypotheses,
    greedy_hypotheses,
    greedy_tokens,
)
from keras_noisy_student.speech.edit_distance import edit_distance
from keras_noisy_student.speech.error_rates import WordErrorRate
from keras_noisy_student.speech.padded_tokens import PADDING, num_tokens
from keras_noisy_student.speech.vocabulary import Vocabulary
from keras_noisy_student.tasks.task import Annotation, Task

_PREDICTED_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Transcription(Task):
    """A transcript per utterance, by CTC.

    Labels are token ids int32 `(max_tokens,)`, padded with -1 at the ends (`kns.speech.pad_tokens`). The network takes
    features and their length, and returns logits or log probabilities `(batch, frames, tokens + 1)`, of which the last
    output is the blank; beyond the end of an utterance it is sure of the blank, which `kns.speech.BlankPadding` makes
    it. Pseudo-labels are the teacher's hypotheses, with their log probability as the score.

    Args:
        vocabulary: the tokens.
        max_tokens: the most tokens of a transcript. A longer hypothesis of the teacher counts as empty, and is refused.
        beam_width: paths that the beam search of the teacher, and of what is served, follows. Default: `None`, the
            greedy path, as metrics are always computed.
        language_model: ranks the paths of the beam by a function of their tokens, such as a `kns.speech.NGramModel`.
        language_model_weight: of its log probabilities, beside those of the network; above 0 with a language model.

    A run that goes on tells an n-gram model from another one by its table, and any other function by its name.

    Raises:
        ValueError: for a value out of range, or a language model without a beam or a weight.

    Example:
        >>> task = kns.Transcription(kns.speech.Vocabulary("ab"), max_tokens=4)
        >>> logits = 9 * tf.one_hot([[0, 2, 0, 1]], 3)
        >>> task.serve(logits)["text"].numpy()[0].decode()
        'aab'

    Reference:
        Graves et al. 2006, Connectionist temporal classification; Park et al. 2020, arXiv 2005.09629.
    """

    vocabulary: Vocabulary
    max_tokens: int
    beam_width: int | None = None
    language_model: LanguageModel | None = None
    language_model_weight: float = 0.0

    num_classes: int = dataclasses.field(default=1, init=False, repr=False)
    """Transcripts are of one class: they are balanced by their tokens."""

    def __post_init__(self) -> None:
        if not isinstance(self.vocabulary, Vocabulary):
            raise ValueError(
                f"`vocabulary` must be a kns.speech.Vocabulary. Received: vocabulary={self.vocabulary!r}. Make it of "
                "the strings of the tokens: `kns.speech.Vocabulary([...])`."
            )
        check_count("max_tokens", self.max_tokens)
        if self.beam_width is not None:
            check_count("beam_width", self.beam_width)
        if self.language_model is not None and not callable(self.language_model):
            raise ValueError(
                "`language_model` must be a function of tokens, or None. Received: language_model="
                f"{self.language_model!r}."
            )
        if not is_number(self.language_model_weight) or self.language_model_weight < 0:
            raise ValueError(
                "`language_model_weight` must be a number of at least 0. Received: language_model_weight="
                f"{self.language_model_weight!r}."
            )
        if (self.language_model is None) != (self.language_model_weight == 0):
            raise ValueError(
                "`language_model` and `language_model_weight` go together. Received: language_model="
                f"{self.language_model!r}, language_model_weight={self.language_model_weight}. Pass both, for instance "
                "with a weight of 0.5, or neither."
            )
        if self.language_model is not None and self.beam_width is None:
            raise ValueError(
                "A language model ranks the paths of a beam search. Received: a `language_model`, beam_width=None. "
                "Pass a `beam_width`, such as 16."
            )

    def check_label_spec(self, spec: Any, *, name: str) -> None:
        """A label is a row of token ids."""
        if not isinstance(spec, tf.TensorSpec) or spec.shape != (self.max_tokens,):
            raise ValueError(
                f"The labels of `{name}` must be the token ids of one transcript per utterance, of shape (max_tokens,) "
                f"= ({self.max_tokens},). Received: {spec}. Pad them with `kns.speech.pad_tokens(sequences, length="
                f"{self.max_tokens})`, or change `max_tokens`; if the data set is batched, call `.unbatch()` on it."
            )

    def check_labels(self, labels: np.ndarray) -> None:
        """Labels must be token ids, padded with -1 at their ends."""
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"Transcripts must be integer token ids. Received: dtype {labels.dtype}. `Vocabulary.encode` makes "
                "them of a text."
            )
        blank = len(self.vocabulary)
        self._refuse(
            labels,
            (labels == blank).any(axis=1),
            f"Transcripts must not hold the blank, {blank}, which only networks write.",
            "Leave it out.",
        )
        self._refuse(
            labels,
            ((labels < PADDING) | (labels > blank)).any(axis=1),
            f"Transcripts must hold token ids in [0, {blank}), and -1 for padding.",
            "Correct them or the vocabulary.",
        )
        is_token = labels != PADDING
        self._refuse(
            labels,
            (is_token[:, 1:] & ~is_token[:, :-1]).any(axis=1),
            "Transcripts must be padded with -1 at their ends alone.",
            "`kns.speech.pad_tokens` pads them so.",
        )

    def check_coverage(self, labels: np.ndarray) -> None:
        """Some transcript must have a token; rare tokens may be missing."""
        if (labels == PADDING).all():
            raise ValueError(
                f"Labelled transcripts must have tokens. Received: {len(labels)} transcripts, all of them empty. Look "
                "at how they were encoded."
            )

    def check_outputs(self, outputs: Any) -> None:
        """Outputs must be finite logits `(batch, frames, tokens + 1)`."""
        num_outputs = len(self.vocabulary) + 1
        if not hasattr(outputs, "shape") or len(outputs.shape) != 3 or outputs.shape[-1] != num_outputs:
            raise ValueError(
                f"The network must return one tensor of shape (batch, frames, {num_outputs}): a logit for each of "
                f"{num_outputs - 1} tokens and the blank, the last one. Received: {getattr(outputs, 'shape', outputs)}."
                " Change its last layer or the vocabulary."
            )
        values = keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))
        wrong = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
        if len(wrong):
            raise ValueError(
                f"The network must return finite numbers. Received: NaN or infinity for utterance {wrong[0]} of the "
                f"first {len(values)} labelled ones. Look for NaN in its features, or for a division by the length of "
                "an empty utterance."
            )
        if (values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=1e-2):
            raise ValueError(
                "The network must return logits or log probabilities. Received: probabilities, frames of numbers from "
                "0 to 1 that sum to 1. Remove the softmax."
            )

    def check_examples(self, labels: np.ndarray, outputs: np.ndarray, *, first: int) -> None:
        """Outputs must be finite, and every transcript must fit into the frames of its utterance."""
        wrong = np.flatnonzero(~np.isfinite(outputs).all(axis=(1, 2)))
        if len(wrong):
            raise ValueError(
                f"The network must return finite numbers. Received: NaN or infinity for utterance {first + wrong[0]}. "
                "Look for NaN in its features."
            )
        num_frames = np.sum(~is_sure_of_blank(outputs).numpy(), axis=1)
        needed = num_frames_needed(tf.constant(labels)).numpy()
        wrong = np.flatnonzero(needed > num_frames)
        if len(wrong):
            place = wrong[0]
            raise ValueError(
                "A transcript needs a frame of the network's outputs for each token, and one more between equal ones. "
                f"Received: {num_frames[place]} frames of utterance {first + place}, whose transcript "
                f"{self.vocabulary.decode(labels[place])!r} needs {needed[place]}. Leave it out if the transcript is "
                "wrong or the recording empty; else let the network return more frames a second."
            )

    def check_teacher(self, labels: np.ndarray, answers: np.ndarray) -> None:
        """Errors must be fewer than tokens, which is what an empty answer reaches."""
        errors = edit_distance(tf.constant(labels, tf.int32), tf.constant(answers, tf.int32)).numpy().sum()
        length = (labels != PADDING).sum()
        if errors >= length:
            empty = (answers == PADDING).all(axis=1).mean()
            raise ValueError(
                "The teacher is no better than one that writes nothing on the labelled utterances: "
                f"{errors:,} errors in {length:,} tokens; {empty:.0%} of its transcripts are empty. Its "
                "pseudo-labels would be noise. Train it longer, since CTC networks write nothing at first; check the "
                "learning rate, and that features and lengths belong together."
            )

    def loss(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The CTC loss of the transcripts, float32 `(batch,)`.

        It is 0 for one that needs more frames than there are, as a hypothesis may where a student has fewer of them
        than its teacher. Labelled ones are checked before training.
        """
        num_frames = tf.reduce_sum(tf.cast(~is_sure_of_blank(outputs), tf.int32), axis=1)
        fits = num_frames_needed(targets) <= num_frames
        return tf.where(fits, ctc_loss(targets, outputs), 0.0)

    def agreement(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """1 where the greedy transcript is the target, token by token, else 0."""
        both = [tf.cast(targets, tf.int32), greedy_tokens(outputs)]
        longest = tf.maximum(*(tf.shape(tokens)[1] for tokens in both))
        padded = [
            tf.pad(tokens, [[0, 0], [0, longest - tf.shape(tokens)[1]]], constant_values=PADDING) for tokens in both
        ]
        return tf.cast(tf.reduce_all(padded[0] == padded[1], axis=1), tf.float32)

    def annotate(self, outputs: tf.Tensor) -> Annotation:
        """The hypotheses, int32 `(batch, max_tokens)`, and their log scores."""
        hypotheses = self._hypotheses(outputs)
        is_finite = tf.reduce_all(tf.math.is_finite(outputs), axis=[1, 2])
        score = tf.where(is_finite, hypotheses.log_score, np.nan)
        tokens = tf.pad(hypotheses.tokens, [[0, 0], [0, self.max_tokens]], constant_values=PADDING)
        is_too_long = num_tokens(tokens) > self.max_tokens
        tokens = tf.where(is_too_long[:, None], PADDING, tokens[:, : self.max_tokens])
        return Annotation(tokens, score, class_id=tf.zeros_like(tokens[:, 0]))

    def answers(self, outputs: tf.Tensor) -> tf.Tensor:
        """The greedy tokens, int32 `(batch, frames)`."""
        return greedy_tokens(outputs)

    def encode(self, pseudo_label: tf.Tensor) -> dict[str, tf.Tensor]:
        """The tokens, in two bytes each where they are few enough."""
        is_small = len(self.vocabulary) <= tf.int16.max
        return {"tokens": tf.cast(pseudo_label, tf.int16 if is_small else tf.int32)}

    def decode(self, stored: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The tokens, int32 `(batch, max_tokens)`."""
        return tf.cast(stored["tokens"], tf.int32)

    def judge(self, probabilities: tf.Tensor) -> Annotation:
        """Transcripts cannot be averaged."""
        raise NotImplementedError("A transcript follows from the outputs of one network, not from probabilities.")

    def serve(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`tokens` int32 `(batch, frames)`, padded, `log_score` float32 `(batch,)` and `text`, strings `(batch,)`."""
        hypotheses = self._hypotheses(outputs)
        text = self.vocabulary.texts(hypotheses.tokens)
        return {"tokens": hypotheses.tokens, "log_score": hypotheses.log_score, "text": text}

    def served_names(self) -> dict[str, list[str]]:
        """`tokens`: the string of each token id."""
        return {"tokens": list(self.vocabulary.tokens)}

    def predictions(self, outputs: tf.Tensor) -> np.ndarray:
        """The texts, an array of strings `(utterances,)`."""
        texts = []
        for first in range(0, len(outputs), _PREDICTED_AT_ONCE):
            tokens = self._hypotheses(outputs[first : first + _PREDICTED_AT_ONCE]).tokens.numpy()
            texts += [self.vocabulary.decode(row) for row in tokens]
        return np.array(texts, dtype=object)

    def metrics(self) -> list[Any]:
        """Word error rate."""
        return [WordErrorRate(self.vocabulary)]

    def _hypotheses(self, outputs: tf.Tensor) -> Hypotheses:
        if self.beam_width is None:
            return greedy_hypotheses(outputs)
        return beam_hypotheses(
            outputs,
            beam_width=self.beam_width,
            language_model=self.language_model,
            language_model_weight=self.language_model_weight,
        )

    def _refuse(self, labels: np.ndarray, is_wrong: Any, expected: str, fix: str) -> None:
        """Raises a `ValueError` that names the first utterances with a wrong transcript."""
        wrong = np.flatnonzero(is_wrong)
        if len(wrong):
            raise ValueError(
                f"{expected} Received: {labels[wrong[0]].tolist()} in utterance {wrong[0]}, and {len(wrong) - 1} more "
                f"like it. {fix}"
            )
