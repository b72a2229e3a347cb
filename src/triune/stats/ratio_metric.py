"""A metric whose denominator varies by unit: clicks per session, of users.

Definition
    ``value = mean(y) / mean(d)`` over the units, not the mean of their ratios. Its variance by the
    delta method is that of the unit-wise ``(y - value d) / mean(d)``, which also gives its
    covariance with any other linear metric.

Parameters
    A summary whose columns are numerator and denominator.

Assumptions
    Units are independent (their denominators need not be); ``mean(d)`` is many standard errors
    away from 0.

Guarantee
    Asymptotic, as for a mean. Treating the denominator's events as independent would make the
    error too small.

Source
    Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics". Agrees with
    gbstats and tea-tasting.

>>> arm = ratio(Summary.of([1, 2, 3, 4], [2, 2, 4, 4]))
>>> round(arm.value, 4), round(arm.variance, 4)
(0.8333, 0.0412)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triune.stats.effect import Arm
from triune.stats.summary import Summary


def ratio(summary: Summary) -> Arm:
    """The ratio of the first two columns' means. Raises ValueError for a denominator of 0."""
    value, slope = linearised(summary)
    variance = float(slope @ summary.cov @ slope)
    return Arm(summary.n, value, max(0.0, variance))  # rounding: a ratio that never varies


def linearised(
    summary: Summary, numerator: int = 0, denominator: int | None = 1
) -> tuple[float, NDArray[np.float64]]:
    """A mean (``denominator`` None) or ratio of columns, and its slope in each column's mean.

    >>> value, slope = linearised(Summary.of([1, 2, 3], [2, 2, 2]))
    >>> value, slope.tolist()
    (1.0, [0.5, -0.5])
    """
    slope = np.zeros(len(summary.mean))
    top = float(summary.mean[numerator])
    if denominator is None:
        slope[numerator] = 1.0
        return top, slope
    below = float(summary.mean[denominator])
    if below == 0.0:
        raise ValueError("the ratio's denominator has the mean 0")
    slope[numerator], slope[denominator] = 1.0 / below, -top / below**2
    return top / below, slope
