"""Where a mixture supermartingale reaches its threshold.

Definition
    A uniform boundary is the sum ``s`` at which a rising function ``ln M(s, v)`` equals
    ``ln(1/alpha)``. For mixtures without a closed form it is found by bracketing and Brent's
    method. :mod:`triune.stats.normal_mixture` and its neighbours give the functions.

Source
    Howard, Ramdas, McAuliffe and Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
    confidence sequences", section 3.

>>> round(crossing(lambda s: s * s, 9.0, start=1.0), 6)
3.0
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq

DOUBLINGS = 200
"""How often the first guess is doubled before the search is given up."""


def crossing(
    log_mixture: Callable[[float], float],
    log_threshold: float,
    *,
    start: float,
    ceiling: float = math.inf,
) -> float:
    """The ``s`` of at least 0 at which ``log_mixture(s)`` reaches ``log_threshold``.

    Parameters
    ----------
    log_mixture: a function of s that lies below the threshold at 0 and rises once it is above it
    start: a first guess, above 0
    ceiling: the largest s that can occur; returned when even there the threshold is not reached

    Raises ValueError when there is no ceiling and the function stays below the threshold.
    """
    high = ceiling if ceiling < math.inf else _above(log_mixture, log_threshold, start)
    if log_mixture(high) < log_threshold:
        return high
    root = brentq(lambda s: log_mixture(s) - log_threshold, 0.0, high, xtol=1e-12, rtol=1e-14)
    return float(root)


def log_threshold(alpha: float) -> float:
    """ln(1/alpha). Raises ValueError unless ``0 < alpha < 1``.

    >>> round(log_threshold(0.05), 6)
    2.995732
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    return -math.log(alpha)


def _above(log_mixture: Callable[[float], float], threshold: float, start: float) -> float:
    guess = max(start, 1e-12)
    for _ in range(DOUBLINGS):
        if log_mixture(guess) > threshold:
            return guess
        guess *= 2.0
    raise ValueError(f"the mixture stays below its threshold {threshold} up to {guess}")
