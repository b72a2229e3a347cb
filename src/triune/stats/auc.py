"""The area under the ROC curve with DeLong's interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True, slots=True)
class Area:
    """An AUC with its confidence interval, and how many it rests on.

    ``low`` and ``high`` are None when the interval is not known: fewer than two positives or
    two negatives.
    """

    value: float
    low: float | None
    high: float | None
    positives: int
    negatives: int

    @property
    def n(self) -> int:
        return self.positives + self.negatives


def area(scores: Sequence[float], positive: Sequence[bool], *, level: float = 0.95) -> Area | None:
    """The chance that a positive scores higher than a negative; ties count half.

    None when there is no positive or no negative. The interval is DeLong's (1988), by the
    midrank formulation of Sun and Xu (2014), on the logit scale so that it stays in [0, 1].

    >>> found = area([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    >>> found.value
    0.75
    """
    score, label = np.asarray(scores, dtype="float64"), np.asarray(positive, dtype=bool)
    above, below = score[label], score[~label]
    m, n = len(above), len(below)
    if m == 0 or n == 0:
        return None
    ranks = _midranks(np.concatenate([above, below]))
    value = float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))
    if m < 2 or n < 2:
        return Area(value, None, None, m, n)
    # How often each positive beats a negative, and each negative loses to a positive.
    wins = (ranks[:m] - _midranks(above)) / n
    losses = 1.0 - (ranks[m:] - _midranks(below)) / m
    variance = float(wins.var(ddof=1) / m + losses.var(ddof=1) / n)
    low, high = _logit_interval(value, variance, level)
    return Area(value, low, high, m, n)


def _logit_interval(value: float, variance: float, level: float) -> tuple[float, float]:
    if not 0.0 < value < 1.0 or variance == 0.0:
        return value, value
    reach = NormalDist().inv_cdf(0.5 + level / 2) * variance**0.5 / (value * (1.0 - value))
    centre = np.log(value / (1.0 - value))
    low, high = (1.0 / (1.0 + np.exp(-(centre + side * reach))) for side in (-1.0, 1.0))
    return float(low), float(high)


def _midranks(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    middle: np.ndarray[tuple[int], np.dtype[np.float64]] = ends - (counts - 1) / 2.0
    return middle[inverse]
