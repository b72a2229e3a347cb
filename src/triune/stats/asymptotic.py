"""A mean with an interval that stays valid under looking, for any values with a variance.

Definition
    After ``n`` values of standard deviation 1 the radius is, with the tuning ``r``::

        sqrt( 2 (n r^2 + 1) / (n r)^2 * ln( sqrt(n r^2 + 1) / alpha ) )              (two-sided)
        sqrt( 2 (n r^2 + 1) / (n r)^2 * ln( 1 + sqrt(n r^2 + 1) / (2 alpha) ) )      (one-sided)
        r^2 = (-2 ln a + ln(1 - 2 ln a)) / n_star,   a = alpha, or 2 alpha one-sided

    The interval is the mean plus and minus the values' standard deviation times the radius.

Parameters
    ``alpha`` the error; ``n_star`` the n at which the interval is nearly as tight as possible.
    Both, and so ``r``, are fixed before the data.

Assumptions
    Independent values with a finite variance; the interval is exact in the limit of long series, as
    Student's is. Do not read it early: :class:`BurnIn` says when. Heavy tails need more; cut
    values off at a threshold fixed before the test.

Guarantee
    Asymptotic: the chance that the interval ever, from a large first look on, leaves the mean out
    tends to at most ``alpha``. For bounded values :mod:`triune.stats.betting` and
    :mod:`triune.stats.empirical_bernstein` are strict.

Source
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit theory and
    asymptotic confidence sequences", theorem 2.2 and its one-sided form. Agrees with gbstats.

>>> r = tuning(0.05, 1000)
>>> round(r, 6), round(radius(1000, 0.05, r), 6)
(0.089085, 0.095982)
>>> series = Series()
>>> for i in range(40):
...     series = series.add(1.0 if i % 2 else -1.0)
>>> [round(end, 3) for end in interval(series, 0.05, 100)]
[-0.5, 0.5]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from triune.stats.mixture_bound import log_threshold


def tuning(alpha: float, n_star: float, *, one_sided: bool = False) -> float:
    """The ``r`` whose interval is nearly as tight as possible after ``n_star`` values.

    Raises ValueError unless ``n_star > 0`` and ``0 < alpha < 1`` (one-sided: below 1/2).
    """
    if not n_star > 0.0:
        raise ValueError(f"n_star must be above 0, not {n_star}")
    budget = 2.0 * log_threshold(2.0 * alpha if one_sided else alpha)
    return math.sqrt((budget + math.log1p(budget)) / n_star)


def radius(n: float, alpha: float, r: float, *, one_sided: bool = False) -> float:
    """The interval's half width after ``n`` values of standard deviation 1; infinite before.

    >>> round(radius(1000, 0.05, tuning(0.05, 1000, one_sided=True), one_sided=True), 6)
    0.087883
    """
    log_threshold(alpha)
    if n <= 0:
        return math.inf
    scale = n * r * r + 1.0
    if one_sided:
        level = math.log1p(math.sqrt(scale) / (2.0 * alpha))
    else:
        level = math.log(math.sqrt(scale) / alpha)
    return math.sqrt(2.0 * scale * level) / (n * r)


def p_value(z: float, n: float, r: float, *, one_sided: bool = False) -> float:
    """The anytime p-value of a mean that lies ``z`` standard errors from its null value.

    It is the smallest alpha whose interval, with the same ``r``, leaves the null value out; 1.0
    when there is none. One-sided, only a positive ``z`` speaks against the null. Keep the
    smallest over all looks.

    >>> round(p_value(4.0, 1000, tuning(0.05, 1000)), 4), p_value(-4.0, 1000, 0.1, one_sided=True)
    (0.0025, 1.0)
    """
    if n <= 0 or (one_sided and z <= 0.0):
        return 1.0
    scale = n * r * r + 1.0
    power = (scale - 1.0) * z * z / (2.0 * scale)
    if not one_sided:
        return min(1.0, math.exp(0.5 * math.log(scale) - power))
    if power == 0.0:
        return 1.0
    # 1 / (e^power - 1), written so that a large power does not overflow.
    return min(1.0, 0.5 * math.sqrt(scale) * math.exp(-power) / -math.expm1(-power))


@dataclass(frozen=True, slots=True)
class Series:
    """Number, mean and sum of squared distances from the mean, of the values so far."""

    n: int = 0
    mean: float = 0.0
    scatter: float = 0.0

    def add(self, value: float) -> Series:
        """The series with one more value (Welford 1962), e.g. a block's difference of means."""
        n = self.n + 1
        mean = self.mean + (value - self.mean) / n
        return Series(n, mean, self.scatter + (value - self.mean) * (value - mean))

    @property
    def deviation(self) -> float:
        """The standard deviation, with n - 1; infinite below two values."""
        return math.sqrt(self.scatter / (self.n - 1)) if self.n > 1 else math.inf


def interval(series: Series, alpha: float, n_star: float) -> tuple[float, float]:
    """The two-sided interval of the mean; unbounded below two values."""
    half = _half_width(series, alpha, n_star, one_sided=False)
    return series.mean - half, series.mean + half


def lower(series: Series, alpha: float, n_star: float) -> float:
    """A lower bound of the mean alone, tighter than the interval's; for an upper one turn signs."""
    return series.mean - _half_width(series, alpha, n_star, one_sided=True)


def _half_width(series: Series, alpha: float, n_star: float, *, one_sided: bool) -> float:
    r = tuning(alpha, n_star, one_sided=one_sided)
    if series.n < 2:
        return math.inf
    return series.deviation * radius(series.n, alpha, r, one_sided=one_sided)


@dataclass(frozen=True, slots=True)
class BurnIn:
    """How much must have been seen, in the smaller arm, before the interval is read."""

    blocks: int = 10
    units: int = 100
    events: int = 20

    def over(self, blocks: int, units: int, events: int) -> bool:
        """Whether each of the three is reached.

        >>> BurnIn().over(12, 400, 19), BurnIn().over(12, 400, 20)
        (False, True)
        """
        return blocks >= self.blocks and units >= self.units and events >= self.events
