"""Evaluation beyond accuracy: see `robustness.py`."""

from keras_noisy_student.evaluation import robustness

__all__ = ["robustness"]
