"""`Vocabulary`: the tokens that a network writes, and the text that they stand for."""

import collections
import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_noisy_student.speech.padded_tokens import PADDING, closed_up, pad_tokens


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The strings that token ids stand for, without the blank of CTC, which stands for nothing.

    Characters, whole words, or parts of words from a tokenizer of your own, whose ids `decode` turns back into text.

    Args:
        tokens: the string of each token id, different and not empty. Lists become tuples.
        joined_by: what stands between tokens in a text: `""` for characters and parts of words, `" "` for whole words.
            Words are what spaces separate: another mark for them, such as SentencePiece's, is to be written as a space.

    Raises:
        ValueError: for no token, one twice, or one that is empty or contains `joined_by`.

    Example:
        >>> digits = kns.speech.Vocabulary(["zero", "one", "two"], joined_by=" ")
        >>> digits.encode("two zero")
        [2, 0]
        >>> digits.decode([1, 1])
        'one one'
        >>> kns.speech.Vocabulary("abc ").encode("a cab")
        [0, 3, 2, 0, 1]
    """

    tokens: Sequence[str]
    joined_by: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", _checked_tokens(self.tokens))
        if not isinstance(self.joined_by, str):
            raise ValueError(f"`joined_by` must be a string. Received: joined_by={self.joined_by!r}.")
        joined = [token for token in self.tokens if self.joined_by and self.joined_by in token]
        if joined:
            raise ValueError(
                f"No token may contain joined_by={self.joined_by!r}, which stands between them. Received: {joined[0]!r}"
                '. If it is a token of its own, pass joined_by="".'
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """The token ids of a text: of its words if tokens are joined by something, else of its characters.

        Raises:
            ValueError: for a word or a character that is no token.
        """
        parts = text.split(self.joined_by) if self.joined_by and text else list(text)
        unknown = sorted({part for part in parts if part not in self._ids})
        if unknown:
            raise ValueError(
                f"The text must consist of tokens of the vocabulary. Received: {text!r}, of which {unknown[:10]} are "
                "none. Normalise the text, or add them to the vocabulary; ids of a tokenizer of your own need no "
                "`encode`."
            )
        return [self._ids[part] for part in parts]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids `(length,)`, of which those of padding are left out.

        Raises:
            ValueError: for what is no sequence of token ids of the vocabulary.
        """
        ids = np.asarray(tokens)
        are_ids = ids.size == 0 or ids.dtype.kind in "iu"
        if ids.ndim != 1 or not are_ids or ((ids != PADDING) & ((ids < 0) | (ids >= len(self)))).any():
            raise ValueError(
                f"`tokens` must be token ids in [0, {len(self)}), or {PADDING} for padding, of one text. Received: "
                f"{tokens!r}. Decode the texts of a batch one by one, or by `texts`."
            )
        return self.joined_by.join(self.tokens[token] for token in ids if token != PADDING)

    def texts(self, tokens: tf.Tensor) -> tf.Tensor:
        """The texts of token sequences `(batch, longest)`, strings `(batch,)`: a graph."""
        strings = tf.gather(tf.constant(self.tokens), tf.maximum(tokens, 0))
        ragged = tf.ragged.boolean_mask(strings, tokens != PADDING)
        return tf.strings.reduce_join(ragged, axis=-1, separator=self.joined_by)

    def characters(self, tokens: tf.Tensor) -> tf.Tensor:
        """The texts of token sequences `(batch, longest)` as Unicode code points, padded int32 `(batch, longest text)`.

        A graph that XLA compiles, as it does not compile strings.
        """
        table = self._code_points()
        rows = tf.gather(tf.constant(table), tf.maximum(tokens, 0))
        rows = tf.where((tokens != PADDING)[..., None], rows, PADDING)
        flat = tf.reshape(rows, [tf.shape(tokens)[0], tf.shape(tokens)[1] * table.shape[1]])
        return closed_up(flat, flat != PADDING)[:, len(self.joined_by) :]

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    def _code_points(self) -> np.ndarray:
        """Those of what stands before a token and of the token: `(tokens, longest)`."""
        return pad_tokens([[ord(character) for character in self.joined_by + token] for token in self.tokens])


def _checked_tokens(tokens: Sequence[str]) -> tuple[str, ...]:
    if not len(tokens) or not all(isinstance(token, str) and token for token in tokens):
        raise ValueError(f"`tokens` must be strings, one or more, none of them empty. Received: tokens={tokens!r}.")
    twice = sorted(token for token, count in collections.Counter(tokens).items() if count > 1)
    if twice:
        raise ValueError(f"`tokens` must differ from each other. Received: {twice[:10]} more than once.")
    return tuple(tokens)
