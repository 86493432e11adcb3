"""`Teacher`: the un-noised networks that annotate, as one."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise.autograph import call_with_autograph
from keras_noisy_student.pseudo_labels.averaging import View
from keras_noisy_student.tasks.task import Annotation, Task


class Teacher:
    """Annotates clean examples with the mean probabilities of some networks for some views.

    A plain object, so that a student that holds one does not take the networks' weights for its own.

    Args:
        networks: called with `training=False`.
        task: turns their outputs into annotations.
        views: see `TeacherAveraging`.
    """

    def __init__(self, networks: Sequence[keras.Model], task: Task, *, views: Sequence[View] = ()) -> None:
        self._networks = list(networks)
        self._views = list(views)
        self.task = task

    def annotate(self, x: Any) -> Annotation:
        """What they say of a batch."""
        views = [self._viewed(x, view) for view in self._views] or [x]
        annotations = [self.task.annotate(network(v, training=False)) for network in self._networks for v in views]
        if len(annotations) == 1:
            return annotations[0]
        mean = tf.add_n([annotation.pseudo_label for annotation in annotations]) / len(annotations)
        return self.task.judge(mean)

    def _viewed(self, x: Any, view: View) -> Any:
        viewed = call_with_autograph(view, x)
        sizes = [tf.shape(tf.nest.flatten(tensors)[0])[0] for tensors in (x, viewed)]
        message = "`views` must keep the batch size."
        with tf.control_dependencies([tf.debugging.assert_equal(*sizes, message=message)]):
            return tf.nest.map_structure(tf.identity, viewed)
