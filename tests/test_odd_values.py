"""The check of the fuzz tests fails where it should."""

import re

import pytest

from tests.odd_values import check_accepts_or_explains, ends_within


def raises(error):
    def function(size):
        raise error

    return function


@pytest.mark.parametrize(
    "error", [ValueError("`size` must be above 0. Received: size=-1."), TypeError("size must be an integer, not str")]
)
def test_an_error_that_speaks_of_the_argument_is_an_explanation(error):
    check_accepts_or_explains(raises(error), {"size": -1})


def test_what_is_accepted_needs_no_explanation():
    check_accepts_or_explains(lambda size: size, {"size": -1})


@pytest.mark.parametrize(
    "error", [ValueError(), ValueError("size?"), TypeError("'<' not supported between instances of 'str' and 'int'")]
)
def test_an_error_that_does_not_is_none(error):
    with pytest.raises(AssertionError, match=rf"The error does not explain itself: {re.escape(repr(error))}"):
        check_accepts_or_explains(raises(error), {"size": -1})


@pytest.mark.parametrize(
    "error", [AttributeError("size"), OverflowError("size is too large to convert"), UserWarning("size")]
)
def test_no_other_exception_is_an_explanation(error):
    with pytest.raises(type(error)):
        check_accepts_or_explains(raises(error), {"size": -1})


def test_what_does_not_end_is_stopped():
    with pytest.raises(AssertionError, match=r"It has not ended after 1 s\."), ends_within(1):
        while True:
            pass
