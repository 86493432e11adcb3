import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.selection import Selection
from tests.toy_data import columns

POOL = columns([0.9, 0.8, 0.7, 0.6], [0, 0, 1, 2])


def _selection():
    counts = np.array([2, 1, 1, 0])
    return Selection(np.int32([1, 0, 1, 1]), counts, np.array([1, 1, 1, 0]), mean_confidence=0.75)


def test_other_repeats_are_counted():
    selection = _selection().with_repeats(np.array([0, 3, 0, 2]), np.split(POOL, [1, 3]))
    assert selection.repeats.dtype == np.int32
    assert selection.repeats.tolist() == [0, 3, 0, 2]
    assert selection.selected_class_counts.tolist() == [3, 0, 2, 0]
    assert (selection.num_annotated, selection.num_kept, selection.num_selected) == (4, 2, 5)
    assert selection.class_counts.tolist() == [2, 1, 1, 0]
    assert selection.mean_confidence == 0.75


def test_repeats_cannot_be_changed_behind_the_counts():
    with pytest.raises(ValueError, match="read-only"):
        _selection().repeats[0] = 0


@pytest.mark.parametrize(
    ("repeats", "received"),
    [
        (np.array([1, 1, 1]), r"int64 of shape \(3,\), the lowest 0\."),
        (np.array([1, -1, 1, 1]), r"int64 of shape \(4,\), the lowest -1\."),
        (np.array([1.0, 1, 1, 1]), r"float64 of shape \(4,\), the lowest 0\.0\."),
    ],
)
def test_repeats_that_are_no_counts_are_refused(repeats, received):
    message = rf"`repeats` must be integers of at least 0, one for each of 4 annotated examples\. Received: {received}"
    with pytest.raises(ValueError, match=message):
        _selection().with_repeats(repeats, [POOL])
