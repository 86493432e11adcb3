"""Evaluation beyond accuracy: by class and by group, and under corruptions (`robustness.py`)."""

from keras_noisy_student.evaluation import robustness
from keras_noisy_student.evaluation.class_metrics import confusion_matrix
from keras_noisy_student.evaluation.class_reports import ClassReport, class_report

__all__ = ["ClassReport", "class_report", "confusion_matrix", "robustness"]
