import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.balance import balance


@pytest.mark.parametrize("members", [1, 2, 3, 10])
@pytest.mark.parametrize("target", [1, 2, 3, 7, 10, 25])
def test_copies_and_extra_rows_add_up_to_the_target(members, target):
    copies, num_extra = balance(np.array([members]), target)
    assert members * copies[0] + num_extra[0] == target
    assert num_extra[0] < members or (copies[0], num_extra[0]) == (0, target)


def test_a_class_without_rows_stays_empty():
    copies, num_extra = balance(np.array([4, 0, 2]), 3)
    assert copies.tolist() == [0, 0, 1]
    assert num_extra.tolist() == [3, 0, 1]


def test_auto_is_the_mean_of_the_classes_that_have_rows_rounded_up():
    copies, num_extra = balance(np.array([4, 0, 1]), "auto")
    assert (np.array([4, 0, 1]) * copies + num_extra).tolist() == [3, 0, 3]


def test_none_uses_every_row_once():
    copies, num_extra = balance(np.array([4, 0, 2]), None)
    assert copies.tolist() == [1, 1, 1]
    assert num_extra.tolist() == [0, 0, 0]
