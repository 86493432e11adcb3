"""The checks that arguments share, and that each of them is used."""

import functools
import math
import re

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.argument_checks import (
    Interval,
    check_choice,
    check_count,
    checked_fixed_seed,
    checked_seed,
    is_integer,
    is_number,
)


@pytest.mark.parametrize("value", [2, 5, np.int64(2), np.uint8(7)])
def test_integers_of_python_and_numpy_are_integers(value):
    assert is_integer(value, at_least=2)


@pytest.mark.parametrize("value", [1, 2.0, True, "2", None, np.float32(2)])
def test_other_values_are_not(value):
    assert not is_integer(value, at_least=2)


def test_numbers_are_finite():
    assert is_number(0.5)
    assert is_number(np.float32(1))
    assert not any(is_number(value) for value in (math.nan, math.inf, 10**400, "1", None, True))


@pytest.mark.parametrize(("value", "at_least"), [(1, 1), (np.int64(5), 1), (0, 0), (7, 2)])
def test_counts_are_integers_from_the_least_one_on(value, at_least):
    check_count("epochs", value, at_least=at_least)


@pytest.mark.parametrize(
    ("value", "at_least", "expected"),
    [
        *[(value, 1, "a positive integer") for value in (0, -1, 1.0, True, "2", None, 10**400)],
        (1, 2, "an integer of at least 2"),
    ],
)
def test_other_counts_are_refused(value, at_least, expected):
    with pytest.raises(ValueError, match=rf"^`epochs` must be {expected}\. Received: epochs={value!r}\.$"):
        check_count("epochs", value, at_least=at_least)


def test_a_name_out_of_several_is_taken():
    check_choice("labels", "hard", ("soft", "hard"))


@pytest.mark.parametrize("value", ["SOFT", None, 1, np.array(["soft", "hard"]), tf.constant([1.0]), ["soft"]])
def test_another_name_or_an_array_of_names_is_refused(value):
    message = rf'`labels` must be "soft" or "hard"\. Received: labels={re.escape(repr(value))}\.'
    with pytest.raises(ValueError, match=message):
        check_choice("labels", value, ("soft", "hard"))


def test_three_names_are_listed():
    with pytest.raises(ValueError, match=r'`mode` must be "auto", "min" or "max"\. Received: mode=3\.'):
        check_choice("mode", 3, ("auto", "min", "max"))


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63), np.int32(7)])
def test_a_seed_becomes_an_integer_of_python(seed):
    assert checked_seed(seed) == seed
    assert type(checked_seed(seed)) is int


def test_a_seed_may_be_left_out():
    assert checked_seed(None) is None


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63), np.int32(7)])
def test_a_fixed_seed_becomes_an_integer_of_python(seed):
    assert checked_fixed_seed(seed) == seed
    assert type(checked_fixed_seed(seed)) is int


@pytest.mark.parametrize("seed", [None, 2**63, 0.5, True])
def test_a_fixed_seed_may_not_be_left_out(seed):
    with pytest.raises(ValueError, match=rf"`seed` must be an integer of 64 bits\. Received: seed={seed}\."):
        checked_fixed_seed(seed)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 0.5, True, "1", np.array([1, 2])])
@pytest.mark.parametrize(
    "make",
    [
        kns.RandomFlip,
        kns.SpecAugment,
        kns.StochasticDepth,
        functools.partial(kns.PerClip, kns.RandomFlip()),
        functools.partial(kns.TemporalCrop, 2),
    ],
    ids=repr,
)
def test_another_seed_is_refused_by_every_layer(make, seed):
    message = rf"`seed` must be an integer of 64 bits, or None\. Received: seed={re.escape(repr(seed))}\."
    with pytest.raises(ValueError, match=message):
        make(seed=seed)


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
