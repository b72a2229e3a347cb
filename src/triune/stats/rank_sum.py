"""Do two samples differ in location? Mann-Whitney's test with Hodges and Lehmann's estimate.

Definition
    ``U`` counts the pairs (x, y) with x > y, ties half. The p-value is its normal approximation
    with the correction for ties and continuity. The estimate is the median of all differences
    ``x - y``; the interval runs between the differences at which the test, after x is moved by
    them, stops rejecting.

Assumptions
    Independent samples, looked at once. For the estimate and interval: the distributions differ by
    a shift only.

Guarantee
    Asymptotic, for one look at a time fixed beforehand. Under repeated looks it is not valid, and
    it is blind to the tails: a p99 that doubles moves few ranks. It is here to compare with
    canary judges that use it; rollouts are decided by :mod:`triune.stats.harm`.

Source
    Mann and Whitney (1947); Hodges and Lehmann (1963). The p-value is scipy's. Kayenta and R's
    ``wilcox.test(exact = FALSE)`` search the interval's ends numerically, to about 1e-4; here they
    are the exact differences.

>>> found = compare([10, 20, 30, 40], [1, 2, 3, 4])
>>> found.u, round(found.p, 4), found.estimate, found.low, found.high
(16.0, 0.0304, 22.5, 6.0, 39.0)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, norm

MOST_PAIRS = 25_000_000
"""Largest number of pairs compared; they are held in memory, 8 bytes each."""


@dataclass(frozen=True, slots=True)
class RankSum:
    """Mann-Whitney's U of the first sample, its two-sided p, and the shift with its interval."""

    u: float
    p: float
    estimate: float
    low: float
    high: float


def compare(x: Sequence[float], y: Sequence[float], level: float = 0.95) -> RankSum:
    """By how much x lies above y.

    Raises ValueError for an empty sample, for more than ``MOST_PAIRS`` pairs, when all values are
    equal, or unless ``0 < level < 1``.
    """
    a, b = np.asarray(x, "float64"), np.asarray(y, "float64")
    pairs = len(a) * len(b)
    if not 0 < pairs <= MOST_PAIRS or not 0.0 < level < 1.0:
        raise ValueError(f"need 0 < level < 1 and 1 to {MOST_PAIRS} pairs, not {level}, {pairs}")
    if min(a.min(), b.min()) == max(a.max(), b.max()):
        raise ValueError("all values are equal: there is nothing to rank")
    test = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic")
    differences = np.sort(np.subtract.outer(a, b), axis=None)
    reach = float(norm.ppf(0.5 + level / 2.0)) * _deviation(a, b)
    low, high = (math.ceil(pairs / 2.0 + side * (reach + 0.5)) for side in (-1.0, 1.0))
    return RankSum(
        u=float(test.statistic),
        p=float(test.pvalue),
        estimate=float(np.median(differences)),
        low=float(differences[max(low, 1) - 1]),
        high=float(differences[min(high, pairs) - 1]),
    )


def _deviation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The standard deviation of U after a shift that makes no value of x equal one of y."""
    n, m = len(a), len(b)
    ties = sum(
        float((counts.astype("float64") ** 3 - counts).sum())
        for counts in (np.unique(values, return_counts=True)[1] for values in (a, b))
    )
    total = n + m
    return math.sqrt(n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0))))
