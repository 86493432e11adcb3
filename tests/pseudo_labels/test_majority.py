import warnings

import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.majority import warn_of_majority
from keras_noisy_student.pseudo_labels.selection import Selection


def _selection(counts):
    counts = np.array(counts)
    return Selection(np.ones(counts.sum(), np.int32), counts, counts, mean_confidence=0.9)


def test_a_class_that_takes_most_pseudo_labels_is_named_with_the_figures():
    message = (
        r"sees class 1 in 56% of the unlabelled pool \(5,600 of 10,000\), and 10% of the labelled examples are of it\. "
        r'.*balance the classes \(`examples_per_class="auto"`\)'
    )
    with pytest.warns(UserWarning, match=message):
        warn_of_majority(_selection([3900, 5600] + 5 * [100]), np.arange(10))


@pytest.mark.parametrize(
    ("counts", "labels"),
    [
        ([3990, 5500] + 5 * [102], np.arange(10)),
        ([75, 25], np.array([0, 1])),
        ([94, 6], np.repeat([0, 1], [90, 10])),
        ([10, 0], np.array([0, 0])),
    ],
)
def test_a_share_that_the_labelled_examples_explain_is_no_collapse(counts, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_majority(_selection(counts), labels)


@pytest.mark.parametrize(
    ("counts", "labels"), [([76, 24], np.array([0, 1])), ([96, 4], np.repeat([0, 1], [90, 10])), ([9], np.array([1]))]
)
def test_a_share_more_than_half_way_to_the_whole_is_one(counts, labels):
    with pytest.warns(UserWarning, match="sees class 0 in"):
        warn_of_majority(_selection(counts), labels)
