"""What a caller may pass by mistake, and what must become of it: accepted, or an error that explains itself."""

import contextlib
import datetime
import decimal
import fractions
import re
import signal

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import keras_noisy_student as kns

LONGEST_SECONDS = 30
SHORTEST_MESSAGE = 20


def with_noise_seed(x, noise_seed):
    return x


def without_arguments():
    return 1


class NotComparable:
    """Compares and prints as arrays and data frames do: not as a truth value."""

    def __eq__(self, other):
        return np.array([True, False])

    __hash__ = None


INTEGERS = [-(2**63), -1, 0, 1, 2, 5000, 2**31, 2**63, 2**64, 10**400, True, False]
FLOATS = [-1.0, -0.0, 1e-320, 0.5, 1.0, 1.5, 1e300, float("nan"), float("inf"), -float("inf")]
NUMPY_NUMBERS = [
    np.bool_(True),
    np.int8(-1),
    np.uint8(3),
    np.int64(3),
    np.uint64(2**64 - 1),
    np.float16(0.5),
    np.float32("nan"),
    np.float64("inf"),
    np.complex64(1j),
    np.datetime64("2020-01-01"),
]
OTHER_NUMBERS = [fractions.Fraction(1, 3), decimal.Decimal("0.5"), 1j]
TEXTS = ["", "auto", "soft", "nearest", "float16", "../x", "a/b", "\0", "\ud800", b"step"]
CONTAINERS = [
    (),
    [],
    [[]],
    [[1, [2]], "a"],
    ["Rotate", 3],
    ["Rotate", ["Invert"]],
    (0.5, 0.5),
    (0.5, "1"),
    [np.zeros(2), np.zeros(2)],
    {},
    {"a": 1},
    {1: "x", None: 2},
    {"Rotate"},
    frozenset(),
    range(3),
]
ARRAYS = [
    np.zeros(()),
    np.zeros(0),
    np.array([0.1, 0.9]),
    np.array(["soft", "hard"]),
    np.array("step"),
    np.array([None, "a"], object),
    np.zeros((2, 3, 4)),
    tf.constant(1.0),
    tf.constant([1, 2]),
    tf.constant("step"),
    tf.ragged.constant([[1], [2, 3]]),
    tf.sparse.from_dense([[0, 1]]),
    tf.Variable(1.0),
    keras.Variable(1.0),
    keras.KerasTensor((None, 3)),
    tf.data.Dataset.range(3),
    pd.DataFrame({"a": [1, 2]}),
    pd.Series([0.5, 1.0]),
]
FUNCTIONS = [min, print, with_noise_seed, without_arguments, lambda value: value, lambda *values: "soft", np.add]
CLASSES = [int, str, type, kns.Noise, kns.RandAugment, keras.Model, ValueError]
OBJECTS = [None, object(), ..., NotComparable(), (value for value in "ab"), np, keras.layers.Dropout(0.5)]

NUMBERS = INTEGERS + FLOATS + NUMPY_NUMBERS + OTHER_NUMBERS
ALL = NUMBERS + TEXTS + CONTAINERS + ARRAYS + FUNCTIONS + CLASSES + OBJECTS

_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
_NESTED = st.recursive(
    _SCALARS,
    lambda items: st.one_of(
        st.lists(items, max_size=3), st.tuples(items, items), st.dictionaries(_SCALARS, items, max_size=2)
    ),
    max_leaves=4,
)
ODD_VALUES = st.one_of(st.sampled_from(ALL), _NESTED)
"""What an argument is not made for, and some of what it is."""


def fuzz_settings(*, max_examples):
    """The same examples in every run, however slow the machine: the first calls trace graphs."""
    return settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        deadline=datetime.timedelta(seconds=LONGEST_SECONDS),
        suppress_health_check=[HealthCheck.too_slow],
    )


def check_accepts_or_explains(function, arguments, *, about=None):
    """Calls the function; what it raises must be a `TypeError` or `ValueError` that speaks of what was given.

    Args:
        function: what is called.
        arguments: by name.
        about: patterns of words of which an error must hold one. Default: the names of the arguments.
    """
    try:
        with ends_within(LONGEST_SECONDS):
            function(**arguments)
    except (TypeError, ValueError) as error:
        text = str(error)
        is_about_arguments = any(re.search(rf"\b{word}\b", text) for word in about or arguments)
        assert len(text) >= SHORTEST_MESSAGE and is_about_arguments, f"The error does not explain itself: {error!r}"


@contextlib.contextmanager
def ends_within(seconds):
    """Fails when the block takes longer: a deadline of hypothesis waits until it has ended."""

    def give_up(signal_number, frame):
        raise AssertionError(f"It has not ended after {seconds} s.")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
