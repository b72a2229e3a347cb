"""The difference between two arms, absolute or relative, with its standard error.

Definition
    An arm has a ``value`` (a mean, a share, a ratio, a quantile) with the variance
    ``variance / n``. The absolute effect is candidate minus control. The relative effect divides it
    by control's ``base``: the value itself or, after CUPED, the value before adjustment. Its error
    is the delta method's, with the effect ``g = (v_b - v_a) / base_a``::

        Var = Var(v_b) / base^2
              + [Var(v_a) + g^2 Var(base_a) + 2 g Cov(v_a, base_a)] / base^2

    The log effect ``ln(v_b / v_a)`` has the variance ``Var(v_b)/v_b^2 + Var(v_a)/v_a^2``; its
    interval, turned back by ``e^x - 1``, is better where values are far from normal.

Assumptions
    Arms are independent, units within an arm too; n large enough for a normal mean. Relative:
    control's base is many standard errors away from 0. Log: both values above 0.

Source
    The delta method, as in Deng, Knoblich and Lu (2018); degrees of freedom by Welch (1947) and
    Satterthwaite (1946). Agrees with gbstats (relative) and tea-tasting 1.14.0 (log).

>>> control, candidate = (Arm.of_mean(Summary.of(x)) for x in ([1, 2, 3, 4], [2, 4, 6, 8]))
>>> effect = absolute(control, candidate)
>>> effect.value, round(effect.error, 4), round(effect.dof, 2)
(2.5, 1.4434, 4.41)
>>> round(relative(control, candidate).error, 4)
0.7303
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from triune.stats.summary import Summary


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's metric.

    Parameters
    ----------
    n: units
    value: the estimate
    variance: n times the square of its standard error
    base: what a relative effect is measured against; None for the value itself
    base_variance, covariance: of the base, and of value and base, also times n
    """

    n: int
    value: float
    variance: float
    base: float | None = None
    base_variance: float = 0.0
    covariance: float = 0.0

    @classmethod
    def of_mean(cls, summary: Summary) -> Arm:
        """The mean of a summary's first column."""
        return cls(summary.n, float(summary.mean[0]), float(summary.cov[0, 0]))


@dataclass(frozen=True, slots=True)
class Effect:
    """An estimated difference, its standard error, Welch's degrees of freedom and all units."""

    value: float
    error: float
    dof: float
    n: int

    @property
    def z(self) -> float:
        """How many standard errors the effect lies above 0."""
        if self.error == 0.0:
            return math.copysign(math.inf, self.value) if self.value else 0.0
        return self.value / self.error


def absolute(control: Arm, candidate: Arm) -> Effect:
    """Candidate minus control, in the metric's unit."""
    squared = candidate.variance / candidate.n + control.variance / control.n
    return _effect(candidate.value - control.value, squared, control, candidate)


def relative(control: Arm, candidate: Arm, *, raw_slope: bool = False) -> Effect:
    """Candidate minus control, as a share of control. Raises ValueError when that is 0.

    Parameters
    ----------
    raw_slope: take ``g`` in the variance from the bases instead of the adjusted values, as gbstats
        does for means (not for ratios) after CUPED; both are right in large samples
    """
    base, base_variance, covariance = _base(control)
    if base == 0.0:
        raise ValueError("a relative effect needs a control that is not 0")
    value = g = (candidate.value - control.value) / base
    if raw_slope:
        g = (_base(candidate)[0] - base) / base
    own = control.variance + g * g * base_variance + 2.0 * g * covariance
    squared = (candidate.variance / candidate.n + own / control.n) / base**2
    return _effect(value, squared, control, candidate)


def log_ratio(control: Arm, candidate: Arm) -> Effect:
    """ln(candidate / control). Raises ValueError unless both values are above 0.

    >>> round(log_ratio(Arm(100, 2.0, 1.0), Arm(100, 3.0, 1.0)).error, 4)
    0.0601
    """
    if control.value <= 0.0 or candidate.value <= 0.0:
        raise ValueError("a log effect needs two values above 0")
    scaled = [Arm(arm.n, 1.0, arm.variance / arm.value**2) for arm in (control, candidate)]
    effect = absolute(*scaled)
    value = math.log(candidate.value / control.value)
    return Effect(value, effect.error, effect.dof, effect.n)


def evened(control: Arm, candidate: Arm) -> tuple[Arm, Arm]:
    """Both arms, the smaller one with the variance that makes their error Student's, of a variance
    common to both, where that is larger than Welch's.

    With few units in one arm and heavy tails, that arm's mean and variance are small together: it
    has not seen the rare large values yet, and the effect looks large beside its error. When arms
    are alike, the common variance knows those values from the larger arm. Even the arms before an
    effect is read early or often. Arms of equal size stay as they are.

    >>> few, many = Arm(100, 0.0, 0.0), Arm(10_000, 0.02, 0.0196)
    >>> [round(absolute(*arms).error, 4) for arms in ((few, many), evened(few, many))]
    [0.0014, 0.014]
    """
    n_a, n_b = control.n, candidate.n
    own = candidate.variance / n_b + control.variance / n_a
    scatter = max(n_a - 1, 0) * control.variance + max(n_b - 1, 0) * candidate.variance
    common = scatter / max(n_a + n_b - 2, 1) * (1.0 / n_a + 1.0 / n_b)
    if n_a == n_b or common <= own:
        return control, candidate
    more = (common - own) * min(n_a, n_b)
    if n_a < n_b:
        return _wider(control, more), candidate
    return control, _wider(candidate, more)


def _wider(arm: Arm, more: float) -> Arm:
    if arm.base is None:
        return replace(arm, variance=arm.variance + more)
    return replace(
        arm,
        variance=arm.variance + more,
        base_variance=arm.base_variance + more,
        covariance=arm.covariance + more,
    )


def _base(arm: Arm) -> tuple[float, float, float]:
    if arm.base is None:
        return arm.value, arm.variance, arm.variance
    return arm.base, arm.base_variance, arm.covariance


def _effect(value: float, squared: float, control: Arm, candidate: Arm) -> Effect:
    return Effect(
        value=value,
        error=math.sqrt(max(squared, 0.0)),
        dof=_degrees_of_freedom(control, candidate),
        n=control.n + candidate.n,
    )


def _degrees_of_freedom(control: Arm, candidate: Arm) -> float:
    """Welch and Satterthwaite's, from the variances of the values; infinite when they are 0."""
    parts = [arm.variance / arm.n for arm in (control, candidate)]
    below = sum(
        part**2 / max(arm.n - 1, 1) for part, arm in zip(parts, (control, candidate), strict=True)
    )
    return sum(parts) ** 2 / below if below > 0.0 else math.inf
