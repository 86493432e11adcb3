"""The report of a run: one HTML file that a browser opens from disk."""

from keras_noisy_student.report.report import Report
from keras_noisy_student.report.section import Section

__all__ = ["Report", "Section"]
