import re

import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.averaging import TeacherAveraging


def test_by_default_there_is_nothing_to_average():
    assert TeacherAveraging() == TeacherAveraging(num_teachers=1, views=())
    assert TeacherAveraging().is_of_one


@pytest.mark.parametrize("values", [{"num_teachers": 3}, {"views": [tf.identity, tf.image.flip_left_right]}])
def test_several_teachers_or_views_are_averaged(values):
    averaging = TeacherAveraging(**values)
    assert not averaging.is_of_one
    assert averaging.views == tuple(values.get("views", ()))


@pytest.mark.parametrize("num_teachers", [0, 1.0, True, "all"])
def test_refuses_no_number_of_teachers(num_teachers):
    message = rf"`num_teachers` must be a positive integer\. Received: num_teachers={num_teachers!r}\."
    with pytest.raises(ValueError, match=message):
        TeacherAveraging(num_teachers=num_teachers)


@pytest.mark.parametrize("views", [tf.identity, ["flip"], None, "flip"])
def test_refuses_views_that_are_no_functions(views):
    message = (
        "`views` must be a sequence of functions of a batch of inputs, such as (tf.identity, "
        f"tf.image.flip_left_right). Received: views={views!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        TeacherAveraging(views=views)
