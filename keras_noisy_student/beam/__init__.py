"""Annotate and select on Apache Beam: see docs/beam.md."""

import importlib.util

if importlib.util.find_spec("apache_beam") is None:
    raise ImportError(
        "keras_noisy_student.beam needs Apache Beam, which is not installed. Install it by "
        '`pip install "keras-noisy-student[beam]"`.'
    )

from keras_noisy_student.beam.annotation import annotate
from keras_noisy_student.beam.selection import select

__all__ = ["annotate", "select"]
