"""A band around the whole distribution function that shrinks with the iterated logarithm.

Definition
    From ``t_min`` samples on, for all x at once, the empirical distribution function lies within
    ``A sqrt((ln(1 + ln(t / t_min)) + C) / t)`` of the true one. ``C`` is the smallest constant for
    which the error, minimised over the epochs' ratio ``eta``, is ``alpha``::

        error(C) = min over eta of 4 exp(-gamma^2 C) (1 + 1 / ((gamma^2 - 1) ln eta))
        gamma^2 = (2 / eta) (A - sqrt(2 (eta - 1) / C))^2

Parameters
    ``t`` samples so far, ``t_min`` the first sample size at which the band is looked at,
    ``A > 1 / sqrt 2`` how closely the band follows the limit.

Assumptions
    Independent samples of one distribution, of any kind.

Guarantee
    The chance that the band ever leaves the true distribution function out, at any x and any
    ``t >= t_min``, is at most ``alpha``.

Source
    Howard and Ramdas (2022), "Sequential estimation of quantiles with applications to A/B testing
    and best-arm identification", theorem 2. Agrees with confseq 0.0.11.

>>> round(lil_radius(1000, 0.05, 100), 4)
0.082
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy.optimize import brentq, minimize_scalar

from triune.stats.mixture_bound import log_threshold


def lil_radius(t: float, alpha: float, t_min: float, a: float = 0.85) -> float:
    """Half the height of the band after ``t`` samples; infinite before ``t_min``.

    Raises ValueError unless ``0 < alpha < 1``, ``t_min >= 1`` and ``a > 1/sqrt 2``.
    """
    log_threshold(alpha)
    if not (t_min >= 1.0 and a > math.sqrt(0.5)):
        raise ValueError(f"need t_min >= 1 and a > 0.7071, not {t_min} and {a}")
    if t < t_min:
        return math.inf
    return a * math.sqrt((math.log1p(math.log(t / t_min)) + _constant(alpha, a)) / t)


@lru_cache(maxsize=64)
def _constant(alpha: float, a: float) -> float:
    high = 5.0
    while _least_error(high, a) > alpha:
        high *= 2.0
    low = high
    while _least_error(low, a) < alpha:
        low /= 2.0
    return float(brentq(lambda c: _least_error(c, a) - alpha, low, high, xtol=1e-10))


def _least_error(c: float, a: float) -> float:
    # Beyond this ratio gamma^2 is below 1 and the bound says nothing.
    top = brentq(
        lambda eta: math.sqrt(eta / 2.0) + math.sqrt(2.0 * (eta - 1.0) / c) - a, 1.0, 2.0 * a**2
    )
    best = minimize_scalar(
        lambda eta: _error(c, eta, a), bounds=(1.0, top), method="bounded", options={"xatol": 1e-10}
    )
    return float(best.fun)


def _error(c: float, eta: float, a: float) -> float:
    gamma = 2.0 / eta * (a - math.sqrt(2.0 * (eta - 1.0) / c)) ** 2
    if gamma <= 1.0 or eta <= 1.0:
        return math.inf
    return 4.0 * math.exp(-gamma * c) * (1.0 + 1.0 / ((gamma - 1.0) * math.log(eta)))
