"""Students: the networks of the paper, and where their weights come from."""

from keras_noisy_student.students.efficientnet import efficientnet
from keras_noisy_student.students.from_teacher import FromTeacher
from keras_noisy_student.students.wide_resnet import wide_resnet

__all__ = ["FromTeacher", "efficientnet", "wide_resnet"]
