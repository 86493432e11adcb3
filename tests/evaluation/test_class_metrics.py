import re

import keras
import numpy as np
import pytest
from sklearn import metrics

from keras_noisy_student.evaluation.class_metrics import accuracy, confusion_matrix, macro_f1, recalls

LABELS = np.array([0, 0, 0, 1, 1, 2])
CLASS_IDS = np.array([0, 0, 1, 1, 3, 2])
# Class 3 is predicted, but no label; class 4 is neither.
CONFUSION = [[2, 1, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_the_figures_by_hand():
    confusion = confusion_matrix(LABELS, CLASS_IDS, num_classes=5)
    assert confusion.tolist() == CONFUSION
    assert confusion.dtype == np.int64
    assert accuracy(confusion) == 4 / 6
    np.testing.assert_array_equal(recalls(confusion), [2 / 3, 1 / 2, 1, np.nan, np.nan])
    # Precisions of the first four are 1, 1/2, 1 and 0.
    assert macro_f1(confusion) == pytest.approx((4 / 5 + 1 / 2 + 1 + 0) / 4)


@pytest.mark.parametrize("num_examples", [1, 3, 20, 500])
@pytest.mark.parametrize("num_used", [1, 3, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_the_figures_are_those_of_scikit_learn(num_examples, num_used, dtype):
    generator = np.random.default_rng([num_examples, num_used])
    used = generator.permutation(20)[:num_used]
    labels, class_ids = generator.choice(used, (2, num_examples)).astype(dtype)
    confusion = confusion_matrix(labels, class_ids, num_classes=20)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(labels, class_ids, labels=range(20)))
    assert accuracy(confusion) == pytest.approx(metrics.accuracy_score(labels, class_ids))
    assert macro_f1(confusion) == pytest.approx(metrics.f1_score(labels, class_ids, average="macro", zero_division=0))
    expected = metrics.recall_score(labels, class_ids, labels=range(20), average=None, zero_division=np.nan)
    np.testing.assert_allclose(recalls(confusion), expected)


def test_macro_f1_of_keras_counts_a_class_that_does_not_occur_as_0():
    metric = keras.metrics.F1Score(average="macro")
    metric.update_state(np.eye(5)[LABELS], np.eye(5)[CLASS_IDS])
    assert float(metric.result()) == pytest.approx(macro_f1(np.array(CONFUSION)) * 4 / 5, abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "class_ids", "num_classes", "message"),
    [
        ([0, 3], [0, 1], 3, "`labels` must be in [0, 3), the ids of 3 classes. Received: [3] in 1 of 2 examples."),
        (
            [0, 1],
            [-1, -1],
            3,
            "`class_ids` must be in [0, 3), the ids of 3 classes. Received: [-1] in 2 of 2",
        ),
        ([0, 1], [0], 3, "`class_ids` must be one per label. Received: 1 class ids for 2 labels."),
        ([], [], 3, "`labels` must be integer class ids of shape (examples,), one or more. Received: shape (0,)"),
        ([0.0], [0], 3, "`labels` must be integer class ids of shape (examples,), one or more. Received: shape (1,)"),
        (
            [0],
            [[0]],
            3,
            "`class_ids` must be integer class ids of shape (examples,), one or more. Received: ",
        ),
        ([0], [0], 0, "`num_classes` must be a positive integer. Received: num_classes=0."),
    ],
)
def test_other_labels_and_ids_are_refused(labels, class_ids, num_classes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        confusion_matrix(labels, class_ids, num_classes=num_classes)
