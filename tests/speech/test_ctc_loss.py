"""The CTC loss, against the sum over all paths."""

import numpy as np
import tensorflow as tf

from keras_noisy_student.speech.ctc_loss import ctc_loss, num_frames_needed
from keras_noisy_student.speech.padded_tokens import pad_tokens
from tests.speech.spoken import transcript_probabilities


def test_it_is_the_sum_over_all_paths():
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    expected = transcript_probabilities(logits)
    tokens = pad_tokens(list(expected))
    loss = ctc_loss(tf.constant(tokens), tf.tile(logits[None], [len(tokens), 1, 1]))
    np.testing.assert_allclose(np.exp(-loss.numpy()), list(expected.values()), rtol=1e-5)


def test_log_probabilities_are_logits_too():
    logits = tf.random.stateless_normal([2, 6, 4], seed=[0, 1])
    tokens = tf.constant([[0, 1, -1], [2, -1, -1]])
    np.testing.assert_allclose(ctc_loss(tokens, tf.nn.log_softmax(logits)), ctc_loss(tokens, logits), rtol=1e-5)


def test_a_transcript_needs_a_blank_between_equal_neighbours():
    tokens = np.array([[0, 0, 1, -1], [0, 1, 0, 1], [-1, -1, -1, -1]])
    assert num_frames_needed(tf.constant(tokens)).numpy().tolist() == [4, 4, 0]


def test_a_transcript_that_cannot_be_aligned_is_worse_than_any_other():
    for tokens in ([[0, 0]], [[0, 1]], [[0, 0, 0]]):
        needed = int(num_frames_needed(tf.constant(tokens))[0])
        too_few, enough = (float(ctc_loss(tf.constant(tokens), tf.zeros([1, n, 3]))[0]) for n in (needed - 1, needed))
        assert too_few > 700
        assert enough < 10


def test_it_compiles_under_xla_with_gradients():
    tokens, logits = tf.constant([[0, 1], [-1, -1]]), tf.random.stateless_normal([2, 5, 4], seed=[3, 4])

    def gradient(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_sum(ctc_loss(tokens, logits))
        return loss, tape.gradient(loss, logits)

    for compiled, plain in zip(tf.function(gradient, jit_compile=True)(logits), gradient(logits), strict=True):
        np.testing.assert_allclose(compiled, plain, atol=1e-5)
