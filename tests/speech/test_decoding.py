"""Greedy decoding and beam search, against the probabilities of all transcripts."""

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech.decoding import beam_hypotheses, greedy_hypotheses, greedy_tokens
from keras_noisy_student.speech.padded_tokens import PADDING
from tests.speech.spoken import collapsed, transcript_probabilities


def random_logits(seed, *, frames=5, outputs=3, scale=1.5):
    return (scale * np.random.default_rng(seed).normal(size=(frames, outputs))).astype("float32")


def transcript(tokens):
    return tuple(int(token) for token in np.asarray(tokens) if token != PADDING)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_greedy_tokens_are_those_of_the_best_path(jit_compile):
    logits = np.stack([random_logits(seed, frames=20, outputs=4) for seed in range(30)])
    tokens = tf.function(greedy_tokens, jit_compile=jit_compile)(logits).numpy()
    assert tokens.dtype == np.int32
    for row, found in zip(logits, tokens, strict=True):
        assert transcript(found) == collapsed(row.argmax(axis=-1).tolist(), blank=3)


def test_a_greedy_hypothesis_is_scored_by_all_of_its_alignments():
    for seed in range(5):
        logits = random_logits(seed)
        hypotheses = greedy_hypotheses(tf.constant(logits[None]))
        expected = transcript_probabilities(logits)[transcript(hypotheses.tokens[0])]
        np.testing.assert_allclose(np.exp(hypotheses.log_score[0]), expected, rtol=1e-5)


def test_a_wide_beam_finds_the_most_likely_transcript():
    for seed in range(8):
        logits = random_logits(seed)
        probabilities = transcript_probabilities(logits)
        hypotheses = beam_hypotheses(tf.constant(logits[None]), beam_width=200)
        best = max(probabilities, key=probabilities.get)
        assert transcript(hypotheses.tokens[0]) == best
        np.testing.assert_allclose(np.exp(hypotheses.log_score[0]), probabilities[best], rtol=1e-4)


def test_greedy_and_beam_differ_where_many_paths_write_the_same():
    # "0" has two paths of 0.24 and one of 0.16; the blanks alone have 0.36.
    logits = tf.math.log([[[0.4, 0.6], [0.4, 0.6]]])
    assert transcript(greedy_tokens(logits)[0]) == ()
    assert transcript(beam_hypotheses(logits, beam_width=10).tokens[0]) == (0,)


def shortest_first(tokens):
    return -tf.reduce_sum(tf.cast(tokens != PADDING, tf.float32), axis=-1)


@pytest.mark.parametrize("weight", [0.0, 0.7, 3.0])
def test_a_language_model_ranks_the_paths(weight):
    for seed in range(8):
        logits = random_logits(seed)
        probabilities = transcript_probabilities(logits)
        # Of two tokens and five frames the search surely has 1 + 5 * 2 paths to rank.
        paths = sorted(probabilities, key=probabilities.get, reverse=True)[:11]
        scores = {tokens: np.log(probabilities[tokens]) - weight * len(tokens) for tokens in paths}
        best = max(scores, key=scores.get)
        found = beam_hypotheses(
            tf.constant(logits[None]), beam_width=200, language_model=shortest_first, language_model_weight=weight
        )
        assert transcript(found.tokens[0]) == best
        np.testing.assert_allclose(found.log_score[0], scores[best], rtol=1e-4)


@pytest.mark.parametrize(("frames", "outputs"), [(1, 2), (1, 5), (3, 2), (2, 3)])
def test_short_utterances_have_fewer_paths_than_the_beam(frames, outputs):
    logits = tf.constant(random_logits(0, frames=frames, outputs=outputs)[None])
    found = beam_hypotheses(logits, beam_width=50, language_model=shortest_first, language_model_weight=100.0)
    assert transcript(found.tokens[0]) == ()


def test_the_number_of_frames_need_not_be_known():
    logits = np.stack([random_logits(seed, frames=6) for seed in range(5)])

    def decode(batch):
        return beam_hypotheses(batch, beam_width=8, language_model=shortest_first, language_model_weight=0.7)

    unknown = tf.function(decode, input_signature=[tf.TensorSpec([None, None, 3])])(logits)
    known = decode(tf.constant(logits))
    np.testing.assert_array_equal(unknown.tokens, known.tokens)
    np.testing.assert_allclose(unknown.log_score, known.log_score, rtol=1e-5)


def test_rows_of_a_batch_do_not_meet():
    logits = np.stack([random_logits(seed) for seed in range(6)])
    for decode in (greedy_hypotheses, lambda batch: beam_hypotheses(batch, beam_width=20)):
        together = decode(tf.constant(logits))
        for row in range(len(logits)):
            alone = decode(tf.constant(logits[row : row + 1]))
            np.testing.assert_array_equal(together.tokens[row], alone.tokens[0])
            np.testing.assert_allclose(together.log_score[row], alone.log_score[0], rtol=1e-5)
