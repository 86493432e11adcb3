import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.annotate import annotate
from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.pseudo_labels.targets import decode
from keras_noisy_student.tasks.classification import Classification
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, features, network

NUM_ROWS = 7


def _annotate(teacher, x, directory, *, batch_size=3, verbose=False, **task_arguments):
    pool = tf.data.Dataset.from_tensor_slices(x).batch(batch_size)
    task = Classification(NUM_CLASSES, **task_arguments)
    return annotate(teacher, pool, task, directory=str(directory), verbose=verbose)


def _stored_probabilities(pseudo_labels):
    return np.concatenate([decode(block, NUM_CLASSES) for block in pseudo_labels.rows()])


@pytest.mark.parametrize("batch_size", [1, 3, 7, 10])
def test_stores_what_the_un_noised_teacher_says_in_the_order_of_the_pool(tmp_path, batch_size):
    teacher, x = network(dropout_rate=0.9), features(NUM_ROWS)
    expected = teacher(x, training=False).numpy()

    pseudo_labels = _annotate(teacher, x, tmp_path, batch_size=batch_size)

    np.testing.assert_allclose(pseudo_labels.columns["score"], expected.max(axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(pseudo_labels.columns["class_id"], expected.argmax(axis=-1))
    np.testing.assert_array_equal(pseudo_labels.columns["fingerprint"], fingerprint(x))
    np.testing.assert_allclose(_stored_probabilities(pseudo_labels), expected, rtol=1e-3)


def test_logits_become_probabilities(tmp_path):
    teacher, x = network(activation=None), features(NUM_ROWS)
    expected = tf.nn.softmax(teacher(x)).numpy()
    pseudo_labels = _annotate(teacher, x, tmp_path, from_logits=True)
    np.testing.assert_allclose(pseudo_labels.columns["score"], expected.max(axis=-1), rtol=1e-6)
    np.testing.assert_allclose(_stored_probabilities(pseudo_labels), expected, rtol=1e-3)


def test_leaves_the_statistics_of_the_teacher_as_they_were(tmp_path):
    teacher = keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.BatchNormalization(), network()])
    before = [weight.numpy() for weight in teacher.weights]
    _annotate(teacher, features(NUM_ROWS), tmp_path)
    for weight, expected in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_reads_pools_of_dicts(tmp_path):
    inputs = {name: keras.Input((NUM_FEATURES,), name=name) for name in ("left", "right")}
    teacher = keras.Model(inputs, network()(keras.layers.Add()(list(inputs.values()))))
    x = {"left": features(NUM_ROWS), "right": features(NUM_ROWS, seed=1)}
    pseudo_labels = _annotate(teacher, x, tmp_path)
    np.testing.assert_array_equal(pseudo_labels.columns["class_id"], teacher(x).numpy().argmax(axis=-1))
    np.testing.assert_array_equal(pseudo_labels.columns["fingerprint"], fingerprint(x))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_outputs_that_are_not_finite_and_names_the_first_row(tmp_path, value):
    x = features(NUM_ROWS)
    x[[4, 5]] = value
    message = (
        r"The teacher's outputs must be finite\. Received: NaN or infinity for 2 examples of the unlabelled pool, the "
        r"first at row 4\. Look for NaN in that example, or for a teacher that diverged\."
    )
    with pytest.raises(ValueError, match=message):
        _annotate(network(), x, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_shows_progress_only_when_asked(tmp_path, capsys):
    _annotate(network(), features(NUM_ROWS), tmp_path, verbose=True)
    assert "3/3" in capsys.readouterr().out
    _annotate(network(), features(NUM_ROWS), tmp_path, verbose=False)
    assert capsys.readouterr().out == ""


def test_a_pool_of_unknown_length_is_annotated_whole_and_ends_its_line_of_progress(tmp_path, capsys):
    pool = tf.data.Dataset.from_tensor_slices(features(NUM_ROWS)).filter(lambda x: True).batch(3)
    task = Classification(NUM_CLASSES)
    assert len(annotate(network(), pool, task, directory=str(tmp_path), verbose=True)) == NUM_ROWS
    printed = capsys.readouterr().out
    assert "3/Unknown" in printed
    assert printed.endswith("\n")
