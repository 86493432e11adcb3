"""`NGramModel`, against Witten-Bell smoothing with dictionaries."""

import collections
import math

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech import NGramModel, pad_tokens
from tests.speech.spoken import random_sequences

START, END = "<s>", "</s>"


class ReferenceModel:
    def __init__(self, transcripts, *, vocabulary_size, order):
        self.order, self.num_outcomes = order, vocabulary_size + 1
        self.counts = collections.defaultdict(collections.Counter)
        for transcript in transcripts:
            for place, token in enumerate([*transcript, END]):
                context = tuple(([START] * order + transcript)[: place + order])
                for length in range(order):
                    self.counts[context[len(context) - length :]][token] += 1

    def probability(self, token, context):
        shorter = self.probability(token, context[1:]) if context else 1 / self.num_outcomes
        counts = self.counts[context]
        return (counts[token] + len(counts) * shorter) / (counts.total() + len(counts)) if counts else shorter

    def log_probability(self, transcript):
        total = 0.0
        for place, token in enumerate([*transcript, END]):
            context = ([START] * self.order + transcript)[: place + self.order]
            total += math.log(self.probability(token, tuple(context[len(context) - self.order + 1 :])))
        return total


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_is_interpolated_witten_bell_smoothing(order, jit_compile):
    rng = np.random.default_rng(order)
    transcripts = random_sequences(rng, 12, longest=6, vocabulary_size=3)
    model = NGramModel(pad_tokens(transcripts), vocabulary_size=4, order=order)
    reference = ReferenceModel(transcripts, vocabulary_size=4, order=order)
    heard = [*random_sequences(rng, 20, longest=8, vocabulary_size=4), []]
    found = tf.function(model, jit_compile=jit_compile)(tf.constant(pad_tokens(heard)))
    np.testing.assert_allclose(found, [reference.log_probability(tokens) for tokens in heard], rtol=1e-4)


def test_probabilities_of_all_sequences_of_one_token_and_the_end_add_up():
    model = NGramModel(pad_tokens([[0, 1], [1]]), vocabulary_size=2, order=1)
    log_of_end = float(model(tf.constant([[-1]]))[0])
    each = np.exp(model(tf.constant([[0], [1]])) - log_of_end)
    assert sum(each) + np.exp(log_of_end) == pytest.approx(1)


def test_padding_changes_nothing():
    model = NGramModel(pad_tokens([[0, 1], [1, 1, 0]]), vocabulary_size=2)
    tokens = pad_tokens([[0, 1, 1]])
    np.testing.assert_array_equal(model(tokens), model(np.pad(tokens, [(0, 0), (0, 4)], constant_values=-1)))


@pytest.mark.parametrize(
    ("transcripts", "settings", "message"),
    [
        ([[3]], {}, r"`transcripts` must hold token ids in \[0, 3\), and -1 for padding. Received: \[3\]"),
        ([[-2]], {}, r"Received: \[-2\]"),
        ([[0.5]], {}, r"integer token ids of shape \(transcripts, longest\).*Received: shape \(1, 1\), dtype float64"),
        ([0, 1], {}, r"Received: shape \(2,\).*`pad_tokens`"),
        ([[0]], {"order": 0}, r"`order` must be a positive integer"),
        ([[0]], {"order": 20}, r"at most 67,108,864 numbers.*Received: vocabulary_size=3, order=20. Lower `order`"),
    ],
)
def test_what_it_refuses(transcripts, settings, message):
    with pytest.raises(ValueError, match=message):
        NGramModel(np.array(transcripts), vocabulary_size=3, **settings)
