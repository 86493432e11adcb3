import re

import pytest

import keras_noisy_student as kns
from keras_noisy_student.report.report import missing_packages


@pytest.mark.parametrize("name", ["num_examples", "num_searched", "num_noised", "num_draws"])
@pytest.mark.parametrize("value", [0, 1.5, None])
def test_numbers_must_be_positive_integers(name, value):
    message = rf"`{name}` must be a positive integer. Received: {name}={re.escape(repr(value))}"
    with pytest.raises(ValueError, match=message):
        kns.report.Report(**{name: value})


def test_packages_that_are_not_there_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "PIL" else name)
    assert missing_packages() == ["pillow"]
