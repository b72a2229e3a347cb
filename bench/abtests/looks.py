"""Tests that look at many runs at once: ours, and what people use.

Ours is what `triune.delivery.abtest` does, written for arrays; that both say the same is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln
from scipy.stats import norm

from bench.abtests.worlds import Arm, Floats
from triune.delivery.abtest.arms import BURN_IN
from triune.stats.asymptotic import tuning
from triune.stats.normal_mixture import tuned_rho

GROWTHBOOK_TUNING = 5000.0
"""``sequential_tuning_parameter`` of gbstats, the default of GrowthBook's sequential testing."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Plan:
    """``planned`` units of both arms together; whether the units are 0 or 1."""

    alpha: float
    planned: float
    binary: bool


Test = Callable[[Arm, Arm, Plan], Bools]
"""Which looks of which runs show a difference."""


def ours(a: Arm, b: Arm, plan: Plan) -> Bools:
    """The confidence sequence tuned to the plan, with evened arms, after its burn-in; of rare
    events the strict one."""
    away = np.abs(b.mean - a.mean)
    shown = away > _error(a, b, even=True) * _reach(a.n + b.n, plan.alpha, plan.planned)
    shown &= np.minimum(a.n, b.n) >= BURN_IN.units
    if not plan.binary:
        return shown
    fewest = np.minimum(*(np.minimum(arm.total, arm.n - arm.total) for arm in (a, b)))
    few = fewest < BURN_IN.events
    strict = few & (np.minimum(a.n, b.n) >= BURN_IN.units)
    shown[few] = False
    shown[strict] = _apart(a, b, plan, strict)
    return shown


def growthbook(a: Arm, b: Arm, plan: Plan) -> Bools:
    """gbstats' SequentialTwoSidedTTest by its published formula: asymptotic confidence sequence,
    tuned to 5,000 units whatever is planned."""
    reach = _reach(a.n + b.n, plan.alpha, GROWTHBOOK_TUNING)
    error = _error(a, b, even=False)
    return (error > 0.0) & (np.abs(b.mean - a.mean) > error * reach)


def peeking(a: Arm, b: Arm, plan: Plan) -> Bools:
    """The z test, looked at again and again."""
    error = _error(a, b, even=False)
    return (error > 0.0) & (np.abs(b.mean - a.mean) > error * norm.isf(plan.alpha / 2.0))


TESTS: Mapping[str, Test] = {"triune": ours, "GrowthBook": growthbook, "repeated z": peeking}


def _error(a: Arm, b: Arm, *, even: bool) -> Floats:
    squared = a.variance / a.n + b.variance / b.n
    if even:
        scatter = (a.n - 1.0) * a.variance + (b.n - 1.0) * b.variance
        common = scatter / (a.n + b.n - 2.0) * (1.0 / a.n + 1.0 / b.n)
        squared = np.where(a.n == b.n, squared, np.maximum(squared, common))
    return np.sqrt(np.maximum(squared, 0.0))


def _reach(n: Floats, alpha: float, tuned_to: float) -> Floats:
    """How many standard errors the interval reaches after n units of both arms."""
    scale = n * tuning(alpha, tuned_to) ** 2 + 1.0
    reach: Floats = np.sqrt(2.0 * scale / (scale - 1.0) * np.log(np.sqrt(scale) / alpha))
    return reach


def _apart(a: Arm, b: Arm, plan: Plan, where: Bools) -> Bools:
    """Whether the arms' own confidence sequences, each at alpha / 2, are apart."""
    ends = [_ends(arm, plan, where) for arm in (a, b)]
    return (ends[1][0] > ends[0][1]) | (ends[0][0] > ends[1][1])


def _ends(arm: Arm, plan: Plan, where: Bools) -> tuple[Floats, Floats]:
    n = np.broadcast_to(arm.n, where.shape)[where]
    pairs, back = np.unique(np.stack([arm.total[where], n]), axis=1, return_inverse=True)
    happened, units = pairs
    middle = np.clip(happened / units, 1e-13, 1.0 - 1e-13)

    def end(outside: float) -> Floats:
        inner, outer = middle.copy(), np.full_like(middle, outside)
        for _ in range(50):
            half = (inner + outer) / 2.0
            out = _evidence(half, happened, units, plan) > np.log(2.0 / plan.alpha)
            outer, inner = np.where(out, half, outer), np.where(out, inner, half)
        return outer

    low, high = end(1e-13), end(1.0 - 1e-13)
    return low[back.ravel()], high[back.ravel()]


def _evidence(p: Floats, happened: Floats, units: Floats, plan: Plan) -> Floats:
    """ln of the two-sided beta-binomial mixture (`triune.stats.bernoulli`) against p."""
    spread = p * (1.0 - p)
    rho = spread * tuned_rho(plan.planned / 2.0, 0.05, one_sided=False)
    r = np.maximum(rho - spread, 1e-3 * spread)
    found: Floats = (
        betaln(r / p + units - happened, r / (1.0 - p) + happened)
        - betaln(r / p, r / (1.0 - p))
        - happened * np.log(p)
        - (units - happened) * np.log1p(-p)
    )
    return found
