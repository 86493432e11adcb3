"""`WordErrorRate` and `CharacterErrorRate`: Keras metrics of transcripts."""

import abc
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.speech.decoding import greedy_tokens
from keras_noisy_student.speech.edit_distance import edit_distance
from keras_noisy_student.speech.padded_tokens import PADDING, closed_up, num_tokens
from keras_noisy_student.speech.vocabulary import Vocabulary

_SPACE = ord(" ")
_MAX_INT64 = 2**63 - 1


class _ErrorRate(keras.metrics.Metric, abc.ABC):
    """The errors of all transcripts divided by the length of all references; see the subclasses."""

    def __init__(self, vocabulary: Vocabulary, *, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.vocabulary = vocabulary
        self._errors = self.add_weight(name="errors", initializer="zeros")
        self._length = self.add_weight(name="length", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: tokens of the references, integers `(batch, longest)`, padded with -1.
            y_pred: a network's outputs `(batch, frames, tokens + 1)`, which are decoded greedily, or the tokens of
                hypotheses, integers `(batch, longest)`, padded with -1.
            sample_weight: of each utterance, `(batch,)`, for its errors and its length.
        """
        y_true, y_pred = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
        hypotheses = y_pred if y_pred.dtype.is_integer else greedy_tokens(y_pred)
        references = self._units(tf.cast(y_true, tf.int32))
        errors = edit_distance(references, self._units(tf.cast(hypotheses, tf.int32)))
        weights = 1.0 if sample_weight is None else tf.cast(sample_weight, tf.float32)
        self._errors.assign_add(tf.reduce_sum(tf.cast(errors, tf.float32) * weights))
        self._length.assign_add(tf.reduce_sum(tf.cast(num_tokens(references), tf.float32) * weights))

    def result(self) -> Any:
        """The rate: 0 where nothing was to be transcribed, above 1 where more was inserted than was there."""
        return tf.math.divide_no_nan(tf.convert_to_tensor(self._errors), tf.convert_to_tensor(self._length))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        vocabulary = {"tokens": list(self.vocabulary.tokens), "joined_by": self.vocabulary.joined_by}
        return {**super().get_config(), "vocabulary": vocabulary}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "_ErrorRate":
        """The metric of such a config."""
        return cls(**{**config, "vocabulary": Vocabulary(**config["vocabulary"])})

    @abc.abstractmethod
    def _units(self, tokens: tf.Tensor) -> tf.Tensor:
        """What errors are counted in, integers `(batch, longest)`, padded."""


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class CharacterErrorRate(_ErrorRate):
    """Character error rate of a corpus: characters to insert, delete or replace, divided by those of the references.

    The errors of all utterances are added up before they are divided: long utterances count for more. Spaces count as
    characters.

    Args:
        vocabulary: the text of the tokens.
        name: of the metric.
        **kwargs: what every Keras metric takes.

    Example:
        >>> vocabulary = kns.speech.Vocabulary("abc ")
        >>> cer = kns.speech.CharacterErrorRate(vocabulary)
        >>> cer.update_state([[0, 1, 3, 2]], [[0, 1, 2, -1]])
        >>> float(cer.result())
        0.25
    """

    def __init__(self, vocabulary: Vocabulary, *, name: str = "cer", **kwargs: Any) -> None:
        super().__init__(vocabulary, name=name, **kwargs)

    def _units(self, tokens: tf.Tensor) -> tf.Tensor:
        return self.vocabulary.characters(tokens)


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class WordErrorRate(_ErrorRate):
    """Word error rate of a corpus: words to insert, delete or replace, divided by the words of the references.

    The errors of all utterances are added up before they are divided: long utterances count for more. Words are what
    spaces separate, whatever tokens they are written in. They are compared by hashes of 63 bits.

    Args:
        vocabulary: the text of the tokens.
        name: of the metric.
        **kwargs: what every Keras metric takes.

    Example:
        >>> vocabulary = kns.speech.Vocabulary("abc ")
        >>> wer = kns.speech.WordErrorRate(vocabulary)
        >>> wer.update_state([[0, 1, 3, 2]], [[0, 1, 2, -1]])
        >>> float(wer.result())
        1.0
    """

    def __init__(self, vocabulary: Vocabulary, *, name: str = "wer", **kwargs: Any) -> None:
        super().__init__(vocabulary, name=name, **kwargs)

    def _units(self, tokens: tf.Tensor) -> tf.Tensor:
        return word_hashes(self.vocabulary.characters(tokens))


def word_hashes(characters: tf.Tensor) -> tf.Tensor:
    """A number for each word of texts, the same for the same words alone: int64 `(batch, longest)`, padded.

    Args:
        characters: code points, int32 `(batch, longest)`, padded.
    """
    is_letter = (characters != _SPACE) & (characters != PADDING)
    begins = is_letter & ~tf.pad(is_letter, [[0, 0], [1, 0]])[:, :-1]
    word = tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1
    places = tf.broadcast_to(tf.range(tf.shape(characters)[1]), tf.shape(characters))
    place_of_word = tf.gather(closed_up(places, begins), tf.maximum(word, 0), batch_dims=1)
    letters = seeds.fold(places - place_of_word, characters)
    batch_size, longest = tf.unstack(tf.shape(characters))
    # A negative segment is left out of the sums.
    segments = tf.where(is_letter, word + longest * tf.range(batch_size)[:, None], -1)
    hashes = tf.math.unsorted_segment_sum(letters, segments, batch_size * longest)
    is_word = places <= tf.reduce_max(word, axis=1, keepdims=True)
    return tf.where(is_word, tf.reshape(hashes, [batch_size, longest]) & _MAX_INT64, PADDING)
