import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels import corrected_labels
from keras_noisy_student.pseudo_labels.corrected_labels import CorrectedColumns, ProbabilityCorrection
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.shard import COLUMNS
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.stored_probabilities import encode
from tests.toy_data import distributions


def stored_rows(probabilities, block):
    """The rows of a store in blocks."""
    columns = {
        "fingerprint": np.arange(len(probabilities), dtype=np.int64)[:, None] * 7,
        "score": probabilities.max(axis=-1, keepdims=True),
        "class_id": probabilities.argmax(axis=-1)[:, None].astype("int32"),
    }
    return tf.data.Dataset.from_tensor_slices(columns | encode(tf.constant(probabilities))).batch(block)


@pytest.mark.parametrize("num_classes", [3, 64])
@pytest.mark.parametrize("rows_at_once", [4, 65_536])
def test_columns_are_those_of_the_corrected_probabilities(num_classes, rows_at_once, monkeypatch):
    monkeypatch.setattr(corrected_labels, "_ROWS_AT_ONCE", rows_at_once)
    probabilities = distributions(11, num_classes)
    log_weights = np.linspace(-3, 3, num_classes)
    correction = ProbabilityCorrection(ProbabilityMap(0.5, log_weights.tolist()), Classification(num_classes))
    columns = CorrectedColumns(stored_rows(probabilities, block=3), correction)
    expected = probabilities.astype("float64") ** 0.5 * np.exp(log_weights)
    expected /= expected.sum(axis=-1, keepdims=True)
    assert (expected.argmax(axis=-1) != probabilities.argmax(axis=-1)).any()
    for _ in range(2):
        blocks = list(columns)
        assert {block.dtype for block in blocks} == {COLUMNS}
        assert max(map(len, blocks)) == min(rows_at_once, 11)
        found = np.concatenate(blocks)
        np.testing.assert_allclose(found["score"], expected.max(axis=-1), rtol=5e-3)
        np.testing.assert_array_equal(found["class_id"], expected.argmax(axis=-1))
        np.testing.assert_array_equal(found["fingerprint"], np.arange(11) * 7)


def test_classes_that_the_store_holds_together_are_corrected_each_by_its_own_weight():
    probabilities = np.full((1, 100), 0.5 / 99, "float32")
    probabilities[0, 7] = 0.5
    log_weights = np.zeros(100)
    log_weights[99] = 10
    correction = ProbabilityCorrection(ProbabilityMap(log_weights=log_weights.tolist()), Classification(100))
    (block,) = CorrectedColumns(stored_rows(probabilities, block=1), correction)
    assert block["class_id"][0] == 99
