import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.report.pool_examples import class_names, examples_at, label_texts
from keras_noisy_student.tasks.task import Annotation


@pytest.mark.parametrize("rows", [[0], [7, 2, 2], [9, 0, 4], []])
@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_examples_are_those_of_the_rows(rows, batch_size):
    x = {"a": np.arange(20).reshape(10, 2), "b": np.arange(10)}
    found = examples_at(tf.data.Dataset.from_tensor_slices(x).batch(batch_size), rows)
    assert sorted(found) == sorted(set(rows))
    for row, example in found.items():
        assert (example["a"].tolist(), example["b"]) == ([2 * row, 2 * row + 1], row)


def test_nothing_is_read_behind_the_last_row():
    read = []

    def batches():
        for place in range(10):
            read.append(place)
            yield np.arange(2 * place, 2 * place + 2)

    assert examples_at(batches(), [1, 5]) == {1: 1, 5: 5}
    assert read == [0, 1, 2]


def test_texts_are_names_ids_or_transcripts():
    annotation = Annotation(None, np.zeros(2), np.array([1, 0]))
    named = kns.Classification(num_classes=2, class_names=["cat", "dog"])
    assert label_texts(annotation, named) == ["dog", "cat"]
    assert class_names(kns.Classification(num_classes=3)) == ["0", "1", "2"]
    speech = kns.Transcription(kns.speech.Vocabulary("ab"), max_tokens=3)
    tokens = np.array([[1, 0, -1], [-1, -1, -1]])
    assert label_texts(annotation._replace(pseudo_label=tokens), speech) == ["ba", "(empty)"]
