"""Less noise by what was known of each unit before it was exposed (CUPED).

Definition
    ``value = Y - theta (X - centre)``, where X is the same metric (a mean or a ratio) from before
    the exposure, ``theta = Cov(Y, X) / Var(X)`` over both arms pooled, and ``centre`` is X over
    both arms. The difference of the arms does not depend on the centre. A ratio's variance and
    covariance are the delta method's.

Parameters
    Summaries whose columns are ``y, x`` for a mean, or ``y, d, x, e`` for the ratios y/d and x/e.

Assumptions
    X comes from before the exposure only, so that the arms do not differ in it. Units are
    independent.

Guarantee
    The effect keeps its meaning; its error shrinks by the factor ``sqrt(1 - corr(Y, X)^2)``. As
    theta is estimated, this holds asymptotically.

Source
    Deng, Xu, Kohavi and Walker (2013), "Improving the sensitivity of online controlled experiments
    by utilizing pre-experiment data". Agrees with tea-tasting 1.14.0 as it is. gbstats takes
    :func:`averaged_theta` for ratios; spotify-confidence 4.1.0 divides the moments of X by n
    instead of n - 1. All agree in large samples.

>>> control = Summary.of([1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 3.0, 4.0])
>>> candidate = Summary.of([2.0, 3.0, 4.0, 6.0], [1.0, 2.0, 3.0, 4.0])
>>> [round(arm.variance, 4) for arm in adjusted(control, candidate)]
[0.1, 0.1]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triune.stats.effect import Arm
from triune.stats.ratio_metric import linearised
from triune.stats.summary import Summary


def adjusted(control: Summary, candidate: Summary, theta: float | None = None) -> tuple[Arm, Arm]:
    """Both arms after adjustment. ``theta`` None: the pooled one; 0 leaves the values as they are.

    Raises ValueError unless both summaries have two or four columns.
    """
    both = control + candidate
    if theta is None:
        theta = pooled_theta(both)
    centre = _parts(both)[2]
    return _arm(control, theta, centre), _arm(candidate, theta, centre)


def pooled_theta(both: Summary) -> float:
    """Cov(Y, X) / Var(X) of all units together; 0 when X does not vary.

    >>> pooled_theta(Summary.of([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]))
    2.0
    """
    _, y, _, x = _parts(both)
    variance = float(x @ both.cov @ x)
    return float(y @ both.cov @ x) / variance if variance > 0.0 else 0.0


def averaged_theta(control: Summary, candidate: Summary) -> float:
    """The same from the covariances within the arms, each arm with the same weight.

    >>> averaged_theta(Summary.of([2.0, 4.0], [1.0, 2.0]), Summary.of([5.0, 9.0], [1.0, 2.0]))
    3.0
    """
    covariance = variance = 0.0
    for arm in (control, candidate):
        _, y, _, x = _parts(arm)
        covariance += float(y @ arm.cov @ x)
        variance += float(x @ arm.cov @ x)
    return covariance / variance if variance > 0.0 else 0.0


def _arm(summary: Summary, theta: float, centre: float) -> Arm:
    base, y, before, x = _parts(summary)
    slope = y - theta * x
    return Arm(
        n=summary.n,
        value=base - theta * (before - centre),
        variance=max(0.0, float(slope @ summary.cov @ slope)),  # rounding
        base=base,
        base_variance=max(0.0, float(y @ summary.cov @ y)),
        covariance=float(slope @ summary.cov @ y),
    )


def _parts(
    summary: Summary,
) -> tuple[float, NDArray[np.float64], float, NDArray[np.float64]]:
    """Y with its slope, and X with its slope, in the means of the summary's columns."""
    columns = len(summary.mean)
    if columns not in (2, 4):
        raise ValueError(f"CUPED takes two or four columns, not {columns}")
    half = columns // 2
    y = linearised(summary, 0, 1 if half == 2 else None)
    x = linearised(summary, half, 3 if half == 2 else None)
    return *y, *x
