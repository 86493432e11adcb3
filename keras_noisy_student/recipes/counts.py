"""Counts of images, steps and epochs that a recipe computes with."""

from typing import Any

from keras_noisy_student.argument_checks import is_integer, is_number


def check_counts(**counts: Any) -> None:
    """Raises a `ValueError` for the first that is no positive integer, or too large for a float."""
    for name, value in counts.items():
        if not is_integer(value, at_least=1) or not is_number(value):
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}.")
