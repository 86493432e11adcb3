"""`pad_tokens`, `num_tokens`, `closed_up`."""

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech.padded_tokens import closed_up, num_tokens, pad_tokens
from tests.speech.spoken import random_sequences


def test_sequences_are_padded_at_their_ends():
    np.testing.assert_array_equal(pad_tokens([[1], [2, 3]], length=3), [[1, -1, -1], [2, 3, -1]])
    assert pad_tokens([]).shape == (0, 0)


def test_a_sequence_that_is_too_long_is_named():
    with pytest.raises(ValueError, match=r"at most length=1 tokens. Received: 2 in sequence 1. Pass a larger `length`"):
        pad_tokens([[1], [2, 3]], length=1)


def test_lengths_are_those_of_the_sequences():
    assert num_tokens(tf.constant(pad_tokens([[0, 0], [], [5]]))).numpy().tolist() == [2, 0, 1]


def test_kept_tokens_close_up():
    rng = np.random.default_rng(0)
    tokens = pad_tokens(random_sequences(rng, 30, longest=9, vocabulary_size=4), length=9)
    is_kept = rng.random(tokens.shape) < 0.5
    expected = pad_tokens([row[kept].tolist() for row, kept in zip(tokens, is_kept, strict=True)], length=9)
    np.testing.assert_array_equal(closed_up(tf.constant(tokens), tf.constant(is_kept)), expected)
