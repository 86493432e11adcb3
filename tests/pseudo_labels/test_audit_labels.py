import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.pseudo_labels.audit_labels import audit_figures, checked_audit_labels
from tests.toy_data import columns

TASK = kns.Classification(num_classes=3)


def test_figures_are_those_of_a_loop_over_rows():
    rng = np.random.default_rng(0)
    class_ids, truth, repeats = rng.integers(3, size=90), rng.integers(3, size=90), rng.integers(3, size=90)
    blocks = np.split(columns(np.zeros(90), class_ids), [10, 64])
    right = [class_id == label for class_id, label in zip(class_ids, truth, strict=True)]
    kept = [is_right for is_right, count in zip(right, repeats, strict=True) if count]
    assert audit_figures(blocks, repeats, truth) == {
        "pseudo_label_accuracy": sum(right) / 90,
        "kept_pseudo_label_accuracy": sum(kept) / len(kept),
    }


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint16"])
def test_class_ids_of_any_integer_type_are_taken(dtype):
    labels = np.array([0, 2, 1], dtype)
    assert checked_audit_labels(labels, TASK, num_rows=3).tolist() == [0, 2, 1]
    assert checked_audit_labels(tf.constant(labels), TASK, num_rows=None).tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (np.eye(3, dtype="int32"), r"ndarray of shape \(3, 3\) and dtype int32"),
        (np.array([0.0, 1.0]), r"ndarray of shape \(2,\) and dtype float64"),
        (np.array([True]), r"ndarray of shape \(1,\) and dtype bool"),
        (["cat"], r"list of shape \(1,\) and dtype <U3"),
    ],
)
def test_other_arrays_are_refused(labels, received):
    message = r"`audit_labels` must be a one-dimensional array of integer class ids, .* Received: " + received
    with pytest.raises(ValueError, match=message):
        checked_audit_labels(labels, TASK, num_rows=None)


def test_ids_out_of_range_are_refused():
    message = r"`audit_labels` must be in \[0, 3\) for num_classes=3. Received: \[-1, 3\] in 3 of 4 labels. Correct"
    with pytest.raises(ValueError, match=message):
        checked_audit_labels(np.array([3, -1, 3, 0]), TASK, num_rows=None)


def test_another_number_of_labels_is_refused():
    message = r"`audit_labels` must be one for each example of the unlabelled pool, 4, in its order. Received: 3 labels"
    with pytest.raises(ValueError, match=message):
        checked_audit_labels(np.zeros(3, int), TASK, num_rows=4)
    with pytest.raises(ValueError, match=message):
        audit_figures([columns(np.zeros(4), np.zeros(4))], np.ones(4, int), np.zeros(3, int))


def test_transcripts_are_not_judged():
    task = kns.Transcription(kns.speech.Vocabulary("ab"), max_tokens=4)
    message = "`audit_labels` are class ids, and the pseudo-labels of a `Transcription` are transcripts. Leave them out"
    with pytest.raises(ValueError, match=message):
        checked_audit_labels(np.zeros((3, 4), int), task, num_rows=3)
