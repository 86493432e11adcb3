"""`Vocabulary`: tokens, text and back."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech import Vocabulary, pad_tokens

DIGITS = Vocabulary(["zero", "one", "zwölf"], joined_by=" ")
LETTERS = Vocabulary("ab 字")


@pytest.mark.parametrize(
    ("vocabulary", "text"),
    [(DIGITS, "zwölf one one"), (DIGITS, "zero"), (DIGITS, ""), (LETTERS, "ba 字a"), (LETTERS, "")],
)
def test_text_survives(vocabulary, text):
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    padded = tf.constant(pad_tokens([ids], length=6))
    assert vocabulary.decode(padded[0].numpy()) == text
    assert vocabulary.texts(padded).numpy()[0].decode() == text
    code_points = vocabulary.characters(padded).numpy()[0]
    assert "".join(chr(point) for point in code_points if point >= 0) == text


def test_characters_compile_under_xla():
    tokens = tf.constant(pad_tokens([[0, 1], [2]]))
    compiled = tf.function(DIGITS.characters, jit_compile=True)(tokens)
    np.testing.assert_array_equal(compiled, DIGITS.characters(tokens))


def test_parts_of_words_are_joined_by_nothing():
    assert Vocabulary(["ab", "c", " "]).decode([0, 1, 2, 0]) == "abc ab"


def test_a_word_that_is_no_token_is_named():
    with pytest.raises(ValueError, match=r"Received: 'one eleven', of which \['eleven'\] are none. Normalise the text"):
        DIGITS.encode("one eleven")
    with pytest.raises(ValueError, match=r"of which \['A', '!'\] are none|of which \['!', 'A'\] are none"):
        LETTERS.encode("aA!")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokens": []}, r"`tokens` must be strings, one or more, none of them empty. Received: tokens=\[\]"),
        ({"tokens": ["a", ""]}, r"none of them empty"),
        ({"tokens": [1, 2]}, r"`tokens` must be strings"),
        ({"tokens": ["a", "b", "a"]}, r"must differ from each other. Received: \['a'\] more than once"),
        ({"tokens": ["a b"], "joined_by": " "}, r"No token may contain joined_by=' '.*Received: 'a b'"),
        ({"tokens": ["a"], "joined_by": None}, r"`joined_by` must be a string. Received: joined_by=None"),
    ],
)
def test_vocabularies_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(**arguments)


@pytest.mark.parametrize("tokens", ["ab", [[0, 1]], [0, 3], [-2], [0.5], 1])
def test_what_is_no_sequence_of_token_ids_is_not_decoded(tokens):
    message = f"`tokens` must be token ids in [0, 3), or -1 for padding, of one text. Received: {tokens!r}."
    with pytest.raises(ValueError, match=re.escape(message)):
        Vocabulary("abc").decode(tokens)


def test_no_tokens_are_the_empty_text():
    assert Vocabulary("abc").decode([]) == ""
