"""`TeacherAveraging`: several teachers, or several views of an example, whose probabilities are averaged."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from keras_noisy_student.argument_checks import check_count

View = Callable[[Any], Any]
"""From a clean batch of inputs to another one of as many examples."""


@dataclasses.dataclass(frozen=True)
class TeacherAveraging:
    """What the probabilities of a pseudo-label are the mean of; by default those of one teacher for the input as it is.

    It costs as many teacher passes over the pool as teachers times views.

    Args:
        num_teachers: the teacher of the round and those of the rounds before, so many in all, or fewer where there are
            fewer. A teacher that stayed for several rounds counts once.
        views: functions of a clean batch of inputs that are applied before the teacher sees it, each alone: test-time
            augmentation. They must keep the batch size and always do the same. `()` is the input as it is; with views
            it counts only where it is one of them, as `tf.identity`.

    Raises:
        ValueError: for a value of the wrong type or out of range.

    Example:
        >>> averaging = TeacherAveraging(num_teachers=2, views=[tf.identity, tf.image.flip_left_right])
        >>> PseudoLabeling(averaging=averaging).averaging.num_teachers
        2

    Reference:
        Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks, section 4.1 (views).
    """

    num_teachers: int = 1
    views: Sequence[View] = ()

    def __post_init__(self) -> None:
        check_count("num_teachers", self.num_teachers)
        if not isinstance(self.views, list | tuple) or not all(callable(view) for view in self.views):
            raise ValueError(
                "`views` must be a sequence of functions of a batch of inputs, such as (tf.identity, "
                f"tf.image.flip_left_right). Received: views={self.views!r}."
            )
        object.__setattr__(self, "num_teachers", int(self.num_teachers))
        object.__setattr__(self, "views", tuple(self.views))

    @property
    def is_of_one(self) -> bool:
        """Whether there is nothing to average."""
        return self.num_teachers == 1 and not self.views


ONE_TEACHER = TeacherAveraging()
"""No averaging."""
