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

POINTS = 80
"""How many shares are tried for one that both arms may have."""

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
    events the strict test."""
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
    """Whether the shares are shown to differ (`triune.stats.bernoulli.equal`)."""
    units = [np.broadcast_to(arm.n, where.shape)[where] for arm in (a, b)]
    rows = np.stack([a.total[where], units[0], b.total[where], units[1]])
    pairs, back = np.unique(rows, axis=1, return_inverse=True)
    shares = np.clip(np.stack([pairs[0] / pairs[1], pairs[2] / pairs[3]]), 1e-13, 1.0 - 1e-13)
    logits = np.log(shares / (1.0 - shares))
    low, high = logits.min(axis=0) - 1.0, logits.max(axis=0) + 1.0
    least = np.full(pairs.shape[1], np.inf)
    for part in np.linspace(0.0, 1.0, POINTS):
        p = 1.0 / (1.0 + np.exp(-(low + part * (high - low))))
        both = sum(_evidence(p, pairs[i], pairs[i + 1], plan) for i in (0, 2))
        least = np.minimum(least, both)
    return (least >= -np.log(plan.alpha))[back.ravel()]


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
