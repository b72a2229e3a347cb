"""How far did a distribution move? The population stability index of two counts by bin.

Definition
    ``PSI = sum over the bins of (q - p) ln(q / p)`` with the shares ``p`` before and ``q`` after.
    It is Jeffreys' divergence, the sum of both Kullback-Leibler divergences: symmetric, 0 for equal
    shares, never negative. So that an empty bin gives a finite number, ``a`` is added to each of
    the bins: a half (Jeffreys' prior), or ``n / 10,000`` where that is more, which keeps the index
    of a new value from growing with the tables. Bins that are empty on both sides are left out.

Guarantee
    None: it is a measure, not a test. Two samples of ``n`` and ``m`` from one distribution give
    about ``(1/n + 1/m)`` times a chi-square variable with ``bins - 1`` degrees of freedom;
    ``noise`` is its 95 % quantile. What lies below it is what chance does.

Reading it
    By convention below 0.1 a small, below 0.25 a moderate, above it a large shift.

Source
    Jeffreys (1946); Siddiqi (2006), Credit Risk Scorecards, for index and convention; Yurdakul and
    Naranjo (2020), Statistical properties of the population stability index, for its distribution.

>>> found = compare([50, 50], [50, 50])
>>> found.psi, round(found.noise, 3)
(0.0, 0.077)
>>> round(compare([500, 500], [900, 100]).psi, 2)
0.88
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

LEVEL = 0.95
"""Of two samples of one distribution this share lies below ``noise``."""


_LEAST_COUNT, _LEAST_SHARE = 0.5, 1e-4


class Stability(NamedTuple):
    """The index, the value that chance alone rarely exceeds, and the bins that were used."""

    psi: float
    noise: float
    bins: int


def compare(before: Sequence[int], after: Sequence[int]) -> Stability:
    """The index of counts in the same bins.

    Raises ValueError unless both have the same number of bins, no count is negative and neither is
    empty.
    """
    p, q = np.asarray(before, "float64"), np.asarray(after, "float64")
    if p.shape != q.shape or min(p.min(initial=0.0), q.min(initial=0.0)) < 0.0:
        raise ValueError("need counts of the same bins, none of them negative")
    n, m = float(p.sum()), float(q.sum())
    if not n or not m:
        raise ValueError("need at least one count on either side")
    used = (p + q) > 0.0
    bins = int(used.sum())
    p, q = _smoothed(p[used], n), _smoothed(q[used], m)
    noise = (1.0 / n + 1.0 / m) * float(chi2.ppf(LEVEL, bins - 1)) if bins > 1 else 0.0
    return Stability(float(((q - p) * np.log(q / p)).sum()), noise, bins)


def _smoothed(counts: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    added = max(_LEAST_COUNT, _LEAST_SHARE * total)
    return (counts + added) / (total + added * len(counts))
