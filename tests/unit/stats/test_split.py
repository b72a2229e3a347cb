"""What lasts in units, and stays with them in an arm, is no harm of the candidate's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from triune.stats.harm import HarmState, HarmTest, step
from triune.stats.split import NONE, Offset, Units, offset

UNITS, RUNS, ALPHA = 1000, 80, 0.01
HISTORY_TICKS, TICKS, RATE = 60, 360, 2000
"""Ten minutes before, an hour of canary; requests a tick, a tenth of them to the candidate."""


def rates(kind: str, draw: np.random.Generator) -> np.ndarray:
    """The error rate of each unit, 1 % on average."""
    if kind == "heavy":
        rate = np.full(UNITS, 0.005)
        rate[draw.choice(UNITS, UNITS // 100, replace=False)] = 0.5
        return rate
    weight = draw.lognormal(0.0, {"alike": 0.0, "unequal": 1.0}[kind], UNITS)
    return np.minimum(0.01 * weight / weight.mean(), 0.9)


def canary(kind: str, seed: int, *, known: bool, worse: float = 1.0) -> tuple[bool, Offset]:
    """Whether a canary is rolled back; ``worse``: what the candidate multiplies error rates by."""
    draw = np.random.default_rng(seed)
    rate, mine = rates(kind, draw), draw.random(UNITS) < 0.1
    before = draw.poisson(RATE * HISTORY_TICKS / UNITS, UNITS)
    found = offset(Units(before, draw.binomial(before, rate), mine))
    test = HarmTest(offset=found.high if known else 0.0)
    state, then = HarmState(), np.where(mine, np.minimum(rate * worse, 0.95), rate)
    served = draw.poisson(RATE / UNITS, (TICKS, UNITS))
    errors = draw.binomial(served, then)
    for n, k in zip(served, errors, strict=True):
        counts = int(n[~mine].sum()), int(n[mine].sum()), int(k[~mine].sum()), int(k[mine].sum())
        state = step(test, state, [counts])
    return state.log_e_max >= -math.log(ALPHA), found


@pytest.mark.parametrize("kind", ["alike", "unequal", "heavy"])
def test_unequal_units_alone_roll_nothing_back(kind: str) -> None:
    """The offset is right with 99.5 %, the test with 99 %; three standard errors beyond."""
    false = np.mean([canary(kind, seed, known=True)[0] for seed in range(RUNS)])
    bound = ALPHA + 0.005
    assert false <= bound + 3 * math.sqrt(bound * (1 - bound) / RUNS)


def test_without_it_they_do() -> None:
    false = np.mean([canary("heavy", seed, known=False)[0] for seed in range(30)])
    assert false > 0.15


@pytest.mark.parametrize(("kind", "least"), [("alike", 0.95), ("heavy", 0.5)])
def test_doubled_errors_are_still_seen(kind: str, least: float) -> None:
    seen = np.mean([canary(kind, seed, known=True, worse=2.0)[0] for seed in range(30)])
    assert seen > least


def test_alike_units_cost_hardly_any_power() -> None:
    found = [canary("alike", seed, known=True)[1].high for seed in range(10)]
    assert max(found) < 0.15


def test_nothing_is_known_without_events_or_with_one_arm() -> None:
    n, none, some = np.full(10, 5), np.zeros(10, int), np.eye(10, dtype=int)[0]
    half = np.arange(10) < 5
    assert offset(Units(n, none, half)) == NONE
    assert offset(Units(n, some, np.zeros(10, bool))) == NONE
    assert offset(Units(n, n, half)) == NONE


def test_an_offset_tolerates_that_odds_ratio_and_keeps_the_grid() -> None:
    plain, shifted = HarmTest(margin=0.5), HarmTest(offset=math.log(1.5))
    assert shifted.tolerated == pytest.approx(plain.tolerated)
    assert shifted.odds_ratios == HarmTest().odds_ratios
    with pytest.raises(ValueError, match="offset"):
        HarmTest(offset=-0.1)
