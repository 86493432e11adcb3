"""Students: the networks of the paper."""

from keras_noisy_student.students.efficientnet import efficientnet

__all__ = ["efficientnet"]
