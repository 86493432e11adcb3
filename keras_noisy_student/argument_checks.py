"""What an argument is: an integer, a number, a number in an interval, one of a few names. Booleans are no numbers."""

import dataclasses
import inspect
import math
import numbers
import os
from collections.abc import Callable, Sequence
from typing import Any

_INT64_END = 2**63


def is_integer(value: Any, *, at_least: int) -> bool:
    """Whether `value` is an integer, of Python or NumPy, and not below `at_least`."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= at_least


def is_number(value: Any) -> bool:
    """Whether `value` is a finite real number, not too large for a float."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_count(name: str, value: Any, *, at_least: int = 1) -> None:
    """Raises a `ValueError` that names the argument when `value` is no integer from `at_least` on.

    Nor may it be too large for a float, which steps and rates are computed with.
    """
    if not is_integer(value, at_least=at_least) or not is_number(value):
        expected = "a positive integer" if at_least == 1 else f"an integer of at least {at_least}"
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}.")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raises a `ValueError` that names the argument when `value` is none of the names.

    `value in choices` alone would compare an array element by element.
    """
    if not isinstance(value, str) or value not in choices:
        *first, last = (f'"{choice}"' for choice in choices)
        raise ValueError(f"`{name}` must be {', '.join(first)} or {last}. Received: {name}={value!r}.")


def check_takes(name: str, function: Callable[..., Any], *arguments: Any, expected: str) -> None:
    """Raises a `ValueError` that says what was `expected` when a function cannot be called with these arguments."""
    parameters = ""
    try:
        signature = inspect.signature(function)
        parameters = str(signature)
        signature.bind(*arguments)
    # A function written in C may say nothing of its arguments: a `ValueError`.
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` given as a function must take {expected}. Received: "
            f"{getattr(function, '__name__', function)}{parameters}."
        ) from error


def checked_directory(directory: Any) -> str | None:
    """A path as a string.

    Raises:
        ValueError: when it is no path.
    """
    if directory is not None and (not isinstance(directory, str | os.PathLike) or not os.fspath(directory)):
        raise ValueError(f"`directory` must be a path, or None. Received: directory={directory!r}.")
    return None if directory is None else os.fspath(directory)


def checked_verbose(verbose: Any) -> int:
    """What `verbose` means in Keras: 0 is silent, 1 shows progress bars, 2 a line per epoch.

    Raises:
        ValueError: when it is none of them, nor `"auto"`, which is 1.
    """
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if not is_integer(verbose, at_least=0) or verbose > 2:
        raise ValueError(f'`verbose` must be 0, 1, 2 or "auto". Received: verbose={verbose!r}.')
    return int(verbose)


def checked_seed(seed: int | None) -> int | None:
    """The seed of a Keras seed generator, as a Python integer, which is the only kind that Keras takes.

    Raises:
        ValueError: when it is no integer of 64 bits.
    """
    if seed is not None and not _is_seed(seed):
        raise ValueError(f"`seed` must be an integer of 64 bits, or None. Received: seed={seed!r}.")
    return None if seed is None else int(seed)


def checked_fixed_seed(seed: int) -> int:
    """A seed that figures follow from, as a Python integer: there is no random one.

    Raises:
        ValueError: when it is no integer of 64 bits.
    """
    if not _is_seed(seed):
        raise ValueError(f"`seed` must be an integer of 64 bits. Received: seed={seed!r}.")
    return int(seed)


def _is_seed(seed: Any) -> bool:
    return is_integer(seed, at_least=-_INT64_END) and seed < _INT64_END


@dataclasses.dataclass(frozen=True)
class Interval:
    """The finite numbers from `low` to `high`, each of the two included or not.

    Example:
        >>> 1.0 in Interval(0, 1, includes_low=True), "0.5" in Interval(0, 1), str(Interval(0, 1, includes_low=True))
        (False, False, '[0, 1)')
    """

    low: float
    high: float
    includes_low: bool = False
    includes_high: bool = False

    def __contains__(self, value: Any) -> bool:
        if not is_number(value):
            return False
        is_bound = (value == self.low and self.includes_low) or (value == self.high and self.includes_high)
        return is_bound or self.low < value < self.high

    def __str__(self) -> str:
        return f"{'[' if self.includes_low else '('}{self.low}, {self.high}{']' if self.includes_high else ')'}"

    def check(self, name: str, value: Any) -> None:
        """Raises a `ValueError` that names the argument when `value` is not in the interval."""
        if value not in self:
            raise ValueError(f"`{name}` must be in {self}. Received: {name}={value!r}.")


FROM_0_BELOW_1 = Interval(0, 1, includes_low=True)
FROM_0_TO_1 = Interval(0, 1, includes_low=True, includes_high=True)
ABOVE_0_TO_1 = Interval(0, 1, includes_high=True)
POSITIVE = Interval(0, math.inf)
