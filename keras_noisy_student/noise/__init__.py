"""Noise: what makes the training of a student hard: input noise, model noise, and the seeds of both."""

from keras_noisy_student.noise.show import show

__all__ = ["show"]
