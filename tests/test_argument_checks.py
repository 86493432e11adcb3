"""The checks that arguments share, and that each of them is used."""

import math

import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.argument_checks import Interval, is_integer, is_number


@pytest.mark.parametrize("value", [2, 5, np.int64(2), np.uint8(7)])
def test_integers_of_python_and_numpy_are_integers(value):
    assert is_integer(value, at_least=2)


@pytest.mark.parametrize("value", [1, 2.0, True, "2", None, np.float32(2)])
def test_other_values_are_not(value):
    assert not is_integer(value, at_least=2)


def test_numbers_are_finite():
    assert is_number(0.5)
    assert is_number(np.float32(1))
    assert not any(is_number(value) for value in (math.nan, math.inf, "1", None, True))


@pytest.mark.parametrize(
    ("interval", "text", "inside", "outside"),
    [
        (Interval(0, 1, includes_low=True), "[0, 1)", [0, 0.5], [-0.1, 1, math.nan, None, "0.5"]),
        (Interval(0, 1, includes_high=True), "(0, 1]", [0.5, 1], [0, 1.1]),
        (Interval(0, math.inf), "(0, inf)", [1e-9, 1e9], [0, math.inf]),
    ],
)
def test_an_interval_holds_the_numbers_between_its_ends(interval, text, inside, outside):
    assert str(interval) == text
    assert all(value in interval for value in inside)
    assert not any(value in interval for value in outside)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: kns.PseudoLabeling(confidence_threshold=None),
            r"`confidence_threshold` must be in \[0, 1\)\. .*=None\.",
        ),
        (lambda: kns.PseudoLabeling(temperature="1"), r"`temperature` must be positive\. .*temperature='1'\."),
        (lambda: kns.Classification(3, label_smoothing="x"), r"`label_smoothing` must be in \[0, 1\)\. .*='x'\."),
        (lambda: kns.Noise(dropout_rate="0.5"), r"`dropout_rate` must be in \[0, 1\)\. .*='0\.5'\."),
        (lambda: kns.StochasticDepth("0.8"), r"`survival_probability` must be in \(0, 1\]\. .*='0\.8'\."),
        (lambda: kns.RandAugment(magnitude="9"), r"`magnitude` must be a finite number, 0 or more\. .*='9'\."),
    ],
)
def test_a_value_of_another_type_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
