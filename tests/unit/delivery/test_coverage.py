"""When both arms' outcomes are equally well known, by simulation with fixed seeds."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from triune.delivery.rollout.cohorts import CohortRule, Shelf, sort
from triune.delivery.rollout.coverage import Cohort, Count, Drift, matches, matching
from triune.stats.harm import HarmState, HarmTest, step

SECOND = 1_000_000
RULE = CohortRule(window_s=1.0, settle_s=0.0, patience_s=100.0)
Known = tuple[float, float]
"""The chances that right and wrong predictions are labelled."""


def arm(random: np.random.Generator, served: int, wrong: float, known: Known) -> Count:
    """An arm's counts."""
    bad = int(random.binomial(served, wrong))
    right = int(random.binomial(served - bad, known[0]))
    labelled_bad = int(random.binomial(bad, known[1]))
    return Count(served, right + labelled_bad, labelled_bad)


def judged(random: np.random.Generator, ticks: int, control: Known, candidate: Known) -> list[int]:
    """How many cohorts each tick judges of a rollout that makes one in every tick, of 180 and 20
    predictions, a fifth of them wrong; and the harm kernel's alarm as a last number, 0 or 1."""
    shelf, found = Shelf(), []
    test, state, alarm = HarmTest(planned_ticks=ticks), HarmState(), False
    for tick in range(ticks):
        a, b = arm(random, 180, 0.2, control), arm(random, 20, 0.2, candidate)
        new = Cohort(tick * SECOND, (tick + 1) * SECOND, a, b)
        waiting = Shelf((*shelf.waiting, new), shelf.closed_us, shelf.drift)
        result = sort(waiting, (tick + 1) * SECOND, RULE)
        shelf = result.shelf
        state = step(test, state, [cohort.counts for cohort in result.ready])
        alarm = alarm or state.log_e >= log(1 / 0.05)
        found.append(len(result.ready))
    return [*found, int(alarm)]


def test_the_difference_and_its_variance_are_those_of_the_hypergeometric_distribution() -> None:
    drift = Drift.of(Cohort(0, 1, Count(90, 72), Count(10, 5)))
    assert drift.w == pytest.approx(9.0)
    assert drift.s / drift.w == pytest.approx(5 / 10 - 72 / 90)
    assert drift.v == pytest.approx(9 * 77 * 23 / (100 * 99))
    everything_known = Cohort(0, 1, Count(90, 90), Count(10, 10))
    assert (Drift.of(everything_known).s, Drift.of(everything_known).v) == (0.0, 0.0)
    assert matches(everything_known, 0.0)
    assert matching(Drift(), 0.0)


def test_where_coverages_are_equal_few_cohorts_are_held_back() -> None:
    random = np.random.default_rng(3)
    runs = [judged(random, 150, (0.92, 0.92), (0.92, 0.92))[:-1] for _ in range(60)]
    shares = [sum(run) / len(run) for run in runs]
    assert np.mean(shares) > 0.95
    assert sum(sum(run[-10:]) == 0 for run in runs) <= 2


def test_outcomes_that_are_known_by_what_they_are_raise_no_alarm_when_they_hit_both_arms() -> None:
    """Wrong predictions become known less often, in both arms alike."""
    random = np.random.default_rng(4)
    runs = [judged(random, 150, (0.98, 0.7), (0.98, 0.7)) for _ in range(100)]
    assert np.mean([sum(run[:-1]) for run in runs]) > 135
    assert sum(run[-1] for run in runs) <= 5 + 3 * 2.2


@pytest.mark.parametrize(
    ("control", "candidate"), [((0.95, 0.5), (0.95, 1.0)), ((0.9, 0.9), (0.98, 0.98))]
)
def test_arms_that_are_not_equally_well_known_are_soon_not_judged_at_all(
    control: Known, candidate: Known
) -> None:
    random = np.random.default_rng(5)
    for _ in range(10):
        run = judged(random, 600, control, candidate)[:-1]
        assert sum(run) < 200
        assert sum(run[-300:]) == 0
