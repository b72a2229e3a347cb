"""Requests that callers gave up on: slower than every answer, and a metric of their own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.evidence import NO_GATES, after, definition
from triune.core.rollout_config import MetricName, Mode
from triune.delivery.gateway.model import Stratum, Tally
from triune.delivery.rollout import analysis, history
from triune.delivery.rollout.analysis import Counts
from triune.delivery.rollout.decide import decide
from triune.delivery.rollout.model import Action
from triune.delivery.rollout.readings import Tick

FAST = {1000.0: 850, 2000.0: 50}
STABLE = Tally(900, latency=FAST)


def tick(candidate: Tally, control: Tally = STABLE) -> Tick:
    return Tick(10.0, {Stratum.UNIT: control}, {Stratum.UNIT: candidate})


def row(name: str, one: Tick, margin: float = 0.0, floor_ms: float = 0.0) -> Counts | None:
    """What a metric counts of units in a tick."""
    how = definition(metrics=[{"name": name, "margin": margin}], latency_floor_ms=floor_ms)
    return next(iter(analysis.counts(how, how.metrics[0], one)), None)


@pytest.mark.parametrize("name", ["latency-p50", "latency-p90", "latency-p99"])
@pytest.mark.parametrize(("margin", "floor_ms"), [(0.0, 0.0), (0.05, 1.0), (3.0, 60_000.0)])
def test_no_tolerance_makes_them_faster_than_an_answer(
    name: str, margin: float, floor_ms: float
) -> None:
    found = row(name, tick(Tally(10, latency={1000.0: 10}, abandoned=90)), margin, floor_ms)
    assert found is not None
    assert (found[:2], found[3]) == ((900, 100), 90)


def test_those_of_both_arms_count_alike() -> None:
    both = tick(
        Tally(96, latency={1000.0: 96}, abandoned=4), Tally(900, latency=FAST, abandoned=36)
    )
    assert row("latency-p99", both, 0.05, 1.0) == (936, 100, 36, 4)


def test_an_arm_that_answers_nobody_is_compared() -> None:
    assert row("latency-p90", tick(Tally(abandoned=100))) == (900, 100, 0, 100)
    assert row("latency-p90", tick(Tally())) is None


def test_as_a_metric_they_are_counted_among_all_requests() -> None:
    both = tick(Tally(96, errors=2, abandoned=4), Tally(864, errors=9, abandoned=36))
    assert row("abandoned", both) == (900, 100, 36, 4)
    assert row("errors", both) == (864, 96, 9, 2)


@pytest.mark.parametrize("settings", [{}, {"metrics": [{"name": "abandoned"}]}])
def test_a_candidate_that_hangs_is_rolled_back(settings: dict[str, Any]) -> None:
    how, hangs = definition(**settings), tick(Tally(abandoned=100))
    found = decide(how, after(how, *[hangs] * 6), hangs, NO_GATES)
    assert found.action is Action.ROLL_BACK
    named = {name.value for name in found.culprits}
    assert named and all(name == "abandoned" or name.startswith("latency") for name in named)


def test_callers_who_leave_both_arms_alike_are_nobodys_fault() -> None:
    how = definition(metrics=[{"name": "abandoned"}, {"name": "latency-p99"}])
    alike = tick(
        Tally(98, latency={1000.0: 98}, abandoned=2), Tally(882, latency=FAST, abandoned=18)
    )
    progress = after(how, *[alike] * 50)
    assert analysis.evidence(how, progress, Mode.AUTOMATIC) < 0.0


def test_the_history_of_answers_does_not_show_them() -> None:
    seen = [
        history.Seen(
            0.1 * i, str(i), None, 5.0, failed=i % 9 == 0, degraded=False, half=i % 2, bucket=i
        )
        for i in range(2000)
    ]
    found = history.dispersions(seen, 10.0)
    assert MetricName.ERRORS in found
    assert MetricName.ABANDONED not in found
