"""`WordErrorRate` and `CharacterErrorRate`, against distances between texts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech import CharacterErrorRate, Vocabulary, WordErrorRate, pad_tokens
from tests.speech.spoken import distance, random_sequences

LETTERS = Vocabulary("ab ")
WORDS = Vocabulary(["a", "bb", "abc"], joined_by=" ")
SPLIT = {WordErrorRate: str.split, CharacterErrorRate: list}


def random_batch(seed, *, num=16):
    rng = np.random.default_rng(seed)
    return [pad_tokens(random_sequences(rng, num, longest=7, vocabulary_size=3), length=7) for _ in range(2)]


def expected_rate(metric, vocabulary, batches, weights=None):
    errors, length = 0.0, 0.0
    for references, hypotheses in batches:
        for row, pair in enumerate(zip(references, hypotheses, strict=True)):
            reference, hypothesis = (SPLIT[metric](vocabulary.decode(tokens)) for tokens in pair)
            weight = 1.0 if weights is None else weights[row]
            errors += weight * distance(reference, hypothesis)
            length += weight * len(reference)
    return errors / length


@pytest.mark.parametrize("metric", [WordErrorRate, CharacterErrorRate])
@pytest.mark.parametrize("vocabulary", [LETTERS, WORDS], ids=["letters", "words"])
def test_errors_and_lengths_of_all_batches_are_added_up(metric, vocabulary):
    batches = [random_batch(0), random_batch(1, num=5)]
    rate = metric(vocabulary)
    for references, hypotheses in batches:
        rate.update_state(references, hypotheses)
    assert float(rate.result()) == pytest.approx(expected_rate(metric, vocabulary, batches))
    rate.reset_state()
    assert float(rate.result()) == 0


@pytest.mark.parametrize("metric", [WordErrorRate, CharacterErrorRate])
def test_weights_count_for_errors_and_lengths(metric):
    batch, weights = random_batch(2), np.linspace(0, 2, 16)
    rate = metric(LETTERS)
    rate.update_state(*batch, sample_weight=weights)
    assert float(rate.result()) == pytest.approx(expected_rate(metric, LETTERS, [batch], weights), rel=1e-5)


def test_outputs_of_a_network_are_decoded_greedily():
    references = pad_tokens([[0, 1, 1]], length=3)
    path = tf.constant([[0, 0, 3, 1, 3, 1]])
    rate = CharacterErrorRate(LETTERS)
    rate.update_state(references, tf.one_hot(path, 4))
    assert float(rate.result()) == 0
    rate.update_state(references, tf.one_hot(tf.reverse(path, [1]), 4))
    assert float(rate.result()) == pytest.approx(2 / 6)


def test_insertions_may_be_more_than_the_reference_is_long():
    rate = WordErrorRate(WORDS)
    rate.update_state(pad_tokens([[0]], length=4), pad_tokens([[1, 2, 2, 1]]))
    assert float(rate.result()) == 4


@pytest.mark.parametrize("metric", [WordErrorRate, CharacterErrorRate])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_they_work_in_evaluate(metric, jit_compile):
    references = random_batch(3)[0]
    logits = np.random.default_rng(4).normal(size=(16, 9, 4)).astype("float32")
    model = keras.Sequential([keras.Input((9, 4)), keras.layers.Activation("linear")])
    model.compile(loss=lambda y, outputs: tf.zeros(tf.shape(y)[0]), metrics=[metric(LETTERS)], jit_compile=jit_compile)
    found = model.evaluate(logits, references, batch_size=6, verbose=0, return_dict=True)
    alone = metric(LETTERS)
    alone.update_state(references, logits)
    assert found[alone.name] == pytest.approx(float(alone.result()))


def test_they_add_up_over_replicas():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    references, hypotheses = random_batch(5)
    with strategy.scope():
        rate = WordErrorRate(LETTERS)
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: (
            tf.constant(np.split(references, 2)[context.replica_id_in_sync_group]),
            tf.constant(np.split(hypotheses, 2)[context.replica_id_in_sync_group]),
        )
    )
    tf.function(lambda: strategy.run(rate.update_state, args=halves))()
    assert float(rate.result()) == pytest.approx(expected_rate(WordErrorRate, LETTERS, [(references, hypotheses)]))


@pytest.mark.parametrize("metric", [WordErrorRate, CharacterErrorRate])
def test_they_survive_their_config(metric):
    rate = metric(WORDS, name="rate")
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    assert type(restored) is metric
    assert restored.get_config() == rate.get_config()
    assert restored.vocabulary == WORDS
