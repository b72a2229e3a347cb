"""A quantile with an interval that stays valid while one keeps looking.

Definition
    If x is the true ``q`` quantile, the samples at or below x are a sum of independent events of
    chance ``q``. The two-sided beta-binomial mixture (:mod:`triune.stats.beta_binomial`) says
    which shares ``[low, high]`` of samples such a sum may have after n samples; the interval runs
    from the sample that first reaches the share ``low`` to the one that first exceeds ``high``.
    From a histogram it runs from the lower edge of the first bin to the upper edge of the last.

Parameters
    ``q`` the quantile, ``alpha`` the error, ``t_opt`` the number of samples at which the interval
    is nearly as tight as possible; all fixed before the data.

Assumptions
    Independent samples of one distribution, with ties, gaps and infinite values as it likes. When
    latency drifts during the day the interval is for a mixture that no user sees: show it for a
    recent window.

Guarantee
    The chance that the interval ever, at any number of samples, leaves the true quantile out is
    at most ``alpha``. Several quantiles need ``alpha`` divided among them.

Source
    Howard and Ramdas (2022), "Sequential estimation of quantiles with applications to A/B testing
    and best-arm identification", the beta-binomial bound for a fixed quantile.

>>> of_samples(range(1, 1001), 0.5, 0.05)
QuantileInterval(low=453.0, estimate=500.0, high=548.0, n=1000)
>>> of_histogram([10.0, 20.0, 40.0, 80.0], [500, 300, 150, 50], 0.9, 0.05)
QuantileInterval(low=40.0, estimate=66.66666666666667, high=80.0, n=1000)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from triune.stats import beta_binomial

ROUNDING = 1e-9
"""Counts are whole numbers: a share times n this close to one is taken for it."""


@dataclass(frozen=True, slots=True)
class QuantileInterval:
    """A quantile's estimate and interval, in the samples' unit, from ``n`` samples.

    ``low`` is ``-inf`` or ``high`` is ``inf`` while nothing bounds that side. ``estimate`` is nan
    without samples, and infinite when it lies in a histogram's open last bin.
    """

    low: float
    estimate: float
    high: float
    n: int


def shares(n: int, q: float, alpha: float, t_opt: float = 1000.0) -> tuple[float, float]:
    """The smallest and largest share of n samples that may lie at or below the true quantile.

    Raises ValueError unless ``0 < q < 1``, ``0 < alpha < 1`` and ``t_opt > 0``.

    >>> [round(share, 4) for share in shares(1000, 0.99, 0.05)]
    [0.9786, 0.9976]
    >>> shares(0, 0.99, 0.05)
    (0.0, 1.0)
    """
    if not 0.0 < q < 1.0:
        raise ValueError(f"q must lie between 0 and 1, not {q}")
    if n < 1:
        return 0.0, 1.0
    return _shares(n, q, alpha, t_opt)


def of_samples(
    samples: ArrayLike, q: float, alpha: float, t_opt: float = 1000.0
) -> QuantileInterval:
    """The interval of the ``q`` quantile from all samples so far, in any order."""
    values = np.sort(np.asarray(samples, "float64"), axis=None)
    n = len(values)
    low, high = _ranks(n, q, alpha, t_opt)
    return QuantileInterval(
        low=float(values[low - 1]) if low >= 1 else -math.inf,
        estimate=float(values[_rank(q, n) - 1]) if n else math.nan,
        high=float(values[high - 1]) if high <= n else math.inf,
        n=n,
    )


def of_histogram(
    edges: ArrayLike, counts: ArrayLike, q: float, alpha: float, t_opt: float = 1000.0
) -> QuantileInterval:
    """The interval of the ``q`` quantile from a histogram of all samples so far.

    Parameters
    ----------
    edges: rising lower edges of the bins; the last bin is open above
    counts: samples in each bin, as many as edges

    The estimate is interpolated linearly within its bin.
    """
    edge = np.append(np.asarray(edges, "float64"), np.inf)
    below = np.cumsum(np.asarray(counts, "int64"))
    if len(below) != len(edge) - 1 or len(below) == 0:
        raise ValueError(f"{len(edge) - 1} edges do not match {len(below)} counts")
    n = int(below[-1])
    low, high = _ranks(n, q, alpha, t_opt)
    return QuantileInterval(
        low=float(edge[_bin(below, low)]) if low >= 1 else -math.inf,
        estimate=_interpolated(edge, below, q * n) if n else math.nan,
        high=float(edge[_bin(below, high) + 1]) if high <= n else math.inf,
        n=n,
    )


@lru_cache(maxsize=4096)
def _shares(n: int, q: float, alpha: float, t_opt: float) -> tuple[float, float]:
    v, v_opt = n * q * (1.0 - q), t_opt * q * (1.0 - q)
    over = beta_binomial.bound(v, alpha, v_opt, q, 1.0 - q, one_sided=False)
    under = beta_binomial.bound(v, alpha, v_opt, 1.0 - q, q, one_sided=False)
    return max(0.0, q - under / n), min(1.0, q + over / n)


def _ranks(n: int, q: float, alpha: float, t_opt: float) -> tuple[int, int]:
    """Ranks, from 1, of the samples that bound the quantile; 0 and n + 1 when none does."""
    low, high = shares(n, q, alpha, t_opt)
    return math.ceil(low * n - ROUNDING), math.floor(high * n + ROUNDING) + 1


def _rank(q: float, n: int) -> int:
    return min(n, max(1, math.ceil(q * n - ROUNDING)))


def _bin(below: np.ndarray, rank: int) -> int:
    return int(np.searchsorted(below, rank, side="left"))


def _interpolated(edge: np.ndarray, below: np.ndarray, wanted: float) -> float:
    at = _bin(below, max(1, math.ceil(wanted - ROUNDING)))
    left, right = float(edge[at]), float(edge[at + 1])
    if math.isinf(right):
        return right
    before = float(below[at - 1]) if at else 0.0
    return left + (right - left) * max(0.0, wanted - before) / (float(below[at]) - before)
