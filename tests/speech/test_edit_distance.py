"""The edit distance, against the table of Wagner and Fischer."""

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech.edit_distance import edit_distance
from keras_noisy_student.speech.padded_tokens import pad_tokens
from tests.speech.spoken import distance, random_sequences


@pytest.mark.parametrize("vocabulary_size", [1, 2, 20])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_is_that_of_the_table(vocabulary_size, jit_compile):
    rng = np.random.default_rng(vocabulary_size)
    references = random_sequences(rng, 40, longest=8, vocabulary_size=vocabulary_size)
    hypotheses = random_sequences(rng, 40, longest=11, vocabulary_size=vocabulary_size)
    in_graph = tf.function(edit_distance, jit_compile=jit_compile)
    found = in_graph(tf.constant(pad_tokens(references)), tf.constant(pad_tokens(hypotheses, length=13)))
    assert found.numpy().tolist() == [distance(*pair) for pair in zip(references, hypotheses, strict=True)]


def test_nothing_but_padding_has_the_length_of_the_other():
    empty, three = tf.fill([1, 2], -1), tf.constant([[7, 7, 8]])
    assert edit_distance(three, empty).numpy() == edit_distance(empty, three).numpy() == 3
    assert edit_distance(tf.zeros([1, 0], tf.int32), tf.zeros([1, 0], tf.int32)).numpy() == 0


def test_it_agrees_with_the_op_of_tensorflow():
    rng = np.random.default_rng(5)
    texts = [["".join(rng.choice(list("ab"), rng.integers(1, 9))) for _ in range(20)] for _ in range(2)]
    codes = [pad_tokens([[ord(character) for character in text] for text in side]) for side in texts]
    sparse = [tf.strings.unicode_split(side, "UTF-8").to_sparse() for side in texts]
    expected = tf.edit_distance(*sparse, normalize=False)
    np.testing.assert_array_equal(edit_distance(*map(tf.constant, codes)), expected)
