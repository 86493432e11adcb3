"""The magnitudes that an op of RandAugment may be drawn with."""

import statistics

NUM_QUANTILES = 256


def jittered_magnitudes(magnitude: float, standard_deviation: float) -> tuple[float, ...]:
    """Equally likely magnitudes of a normal distribution around `magnitude`, those below 0 moved to 0.

    They are the middles of `NUM_QUANTILES` slices of equal probability. With a finite number of magnitudes the
    parameters of the ops are computed in Python, once, and are the same bits in eager mode, in a graph and under XLA.

    Args:
        magnitude: the mean.
        standard_deviation: in units of the magnitude (`mstd` in timm); 0 gives the one magnitude.

    Example:
        >>> jittered_magnitudes(9, 0)
        (9,)
        >>> magnitudes = jittered_magnitudes(9, 0.5)
        >>> len(magnitudes), round(min(magnitudes), 2), round(max(magnitudes), 2)
        (256, 7.56, 10.44)
    """
    if standard_deviation == 0:
        return (magnitude,)
    normal = statistics.NormalDist(magnitude, standard_deviation)
    return tuple(max(normal.inv_cdf((slice_ + 0.5) / NUM_QUANTILES), 0.0) for slice_ in range(NUM_QUANTILES))
