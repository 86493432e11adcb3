"""The mean of rates by name, as they are or each divided by that of a baseline model: what mCE and mFR share."""

from collections.abc import Mapping

import numpy as np


def mean_rate(rates: Mapping[str, float], *, baseline: Mapping[str, float] | None = None) -> float:
    """The mean over the names of the rates, or of their ratios to a baseline's.

    Raises:
        ValueError: without a rate, where the names differ, or where a rate of the baseline is 0.

    Example:
        >>> mean_rate({"a": 1.0, "b": 2.0}, baseline={"a": 2.0, "b": 2.0})
        0.75
    """
    if not rates:
        raise ValueError("A mean needs at least one rate. Received: none.")
    if baseline is None:
        return float(np.mean(list(rates.values())))
    if differing := sorted(set(rates) ^ set(baseline)):
        raise ValueError(
            f"`baseline` must have the same names as the rates that it normalises. Received: {differing} in only one "
            "of the two."
        )
    if zeros := sorted(name for name, rate in baseline.items() if rate <= 0):
        raise ValueError(
            f"`baseline` must have rates above 0, by which others are divided. Received: 0 for {zeros}. Evaluate on "
            "more images, or compare without a baseline."
        )
    return float(np.mean([rate / baseline[name] for name, rate in rates.items()]))
