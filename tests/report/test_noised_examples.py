import numpy as np
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.report.noised_examples import NoisedExamples
from keras_noisy_student.report.report import Report
from keras_noisy_student.run_data import RunData
from keras_noisy_student.sources.array_source import ArraySource

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3)).astype("uint8")
LABELS = np.zeros(5, "int32")


def data(x=IMAGES):
    return RunData(ArraySource((x, LABELS)), LABELS, unlabeled=None, validation=None)


class CountedNoise:
    """Adds one, and counts how often it was traced."""

    def __init__(self):
        self.num_calls = 0

    def __call__(self, x, noise_seed):
        self.num_calls += 1
        return tf.cast(x, tf.float32) + 1


def drawn_with(noised_examples, augmentation, **settings):
    return noised_examples.drawn(kns.Noise(augmentation, **settings), data())


def test_the_first_examples_are_shown_with_as_many_draws_as_the_report_wants():
    shown = drawn_with(NoisedExamples(Report(num_noised=3, num_draws=2), key=0), CountedNoise())
    np.testing.assert_array_equal([each.x for each in shown], IMAGES[:3])
    np.testing.assert_array_equal([each.noised for each in shown], np.stack([IMAGES[:3] + 1.0] * 2, axis=1))


def test_an_augmentation_is_drawn_once_however_many_rounds_have_it():
    noised_examples, augmentation = NoisedExamples(Report(), key=0), CountedNoise()
    first = drawn_with(noised_examples, augmentation)
    traced = augmentation.num_calls
    assert drawn_with(noised_examples, augmentation, dropout_rate=0.5) is first
    assert augmentation.num_calls == traced


def test_another_augmentation_is_drawn_anew():
    noised_examples = NoisedExamples(Report(), key=0)
    first = drawn_with(noised_examples, CountedNoise())
    stronger = drawn_with(noised_examples, lambda x, noise_seed: tf.cast(x, tf.float32) + 2)
    np.testing.assert_array_equal(np.stack(stronger[0].noised), np.stack(first[0].noised) + 1)
    assert drawn_with(noised_examples, None) == []


def test_nothing_is_shown_of_examples_without_pictures():
    vectors = np.ones((5, 7), "float32")
    assert NoisedExamples(Report(), key=0).drawn(kns.Noise(lambda x: x + 1), data(vectors)) == []
