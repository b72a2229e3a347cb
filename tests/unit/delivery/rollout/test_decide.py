"""What follows from a look: safety first, and missing data is never a pass."""

from __future__ import annotations

from math import exp

import msgspec
import pytest

from tests.support.evidence import NO_GATES, WISH, after, definition, tick
from triune.core.rollout_config import MetricName
from triune.delivery.gateway.model import Stratum, Tally
from triune.delivery.rollout import analysis
from triune.delivery.rollout.decide import decide
from triune.delivery.rollout.model import Action, Gates, Progress
from triune.delivery.rollout.readings import Gap, Tick
from triune.delivery.rollout.verdict import Verdict

HARM = tick(candidate=(100, 30))
GOOD = tick()
QUIET = tick((0, 0), (0, 0))


def test_too_little_is_not_yet() -> None:
    how = definition(step_s=60, min_requests=500)
    found = decide(how, after(how, GOOD), GOOD, NO_GATES)
    assert (found.verdict, found.action) == (Verdict.NOT_YET, Action.HOLD)
    assert "100 of 500 requests" in found.reason


def test_enough_without_harm_moves_on_and_the_last_step_promotes() -> None:
    how = definition(step_s=30, min_requests=200)
    progress = after(how, *[GOOD] * 3)
    found = decide(how, progress, GOOD, NO_GATES)
    assert (found.verdict, found.action) == (Verdict.PASS, Action.ADVANCE)
    last = msgspec.structs.replace(progress, step=how.last_step)
    assert decide(how, last, GOOD, NO_GATES).action is Action.PROMOTE


def test_harm_rolls_back_and_names_the_metric() -> None:
    how = definition(hard_stop_errors=1000)
    found = decide(how, after(how, *[HARM] * 3), HARM, NO_GATES)
    assert (found.verdict, found.action) == (Verdict.FAIL, Action.ROLL_BACK)
    assert found.culprits == (MetricName.ERRORS,)
    assert "errors" in found.reason


def test_the_hard_stop_needs_no_statistics_and_no_warm_up() -> None:
    how = definition(warm_up_s=600)
    found = decide(how, Progress(), HARM, NO_GATES)
    assert (found.verdict, found.action) == (Verdict.FAIL, Action.ROLL_BACK)
    few = tick(candidate=(20, 19))
    assert decide(how, Progress(), few, NO_GATES).action is Action.HOLD


def test_a_gap_holds_even_when_everything_else_says_go() -> None:
    how = definition(step_s=30, min_requests=200)
    progress = after(how, *[GOOD] * 30)
    found = decide(how, progress, Gap("the gateway gives no readings"), NO_GATES)
    assert (found.verdict, found.action) == (Verdict.NOT_YET, Action.HOLD)


def test_harm_is_acted_on_in_a_gap_and_in_a_pause() -> None:
    how = definition(hard_stop_errors=1000)
    progress = after(how, *[HARM] * 3)
    paused = Gates("r", paused=WISH)
    assert decide(how, progress, Gap("away"), paused).action is Action.ROLL_BACK


def test_a_pause_holds_and_a_person_may_promote_or_abort() -> None:
    how = definition(step_s=10, min_requests=10)
    progress = after(how, *[GOOD] * 3)
    assert decide(how, progress, GOOD, Gates("r", paused=WISH)).action is Action.HOLD
    assert decide(how, Progress(), QUIET, Gates("r", promote=WISH)).action is Action.PROMOTE
    both = Gates("r", promote=WISH, abort=WISH)
    found = decide(how, progress, GOOD, both)
    assert found.action is Action.ROLL_BACK
    assert "user:ada" in found.reason


def test_a_metric_in_pause_mode_asks_once() -> None:
    metrics = [{"name": "errors", "mode": "pause"}, {"name": "timeouts"}]
    how = definition(metrics=metrics, hard_stop_errors=1000)
    progress = after(how, *[HARM] * 3)
    found = decide(how, progress, HARM, NO_GATES)
    assert (found.verdict, found.action) == (Verdict.FAIL, Action.ASK)
    known = msgspec.structs.replace(progress, acknowledged=frozenset(found.culprits))
    assert decide(how, known, HARM, NO_GATES).action is not Action.ASK


def test_a_metric_that_is_only_observed_decides_nothing() -> None:
    metrics = [{"name": "errors", "mode": "observe"}, {"name": "timeouts"}]
    how = definition(metrics=metrics, hard_stop_errors=1000, step_s=1000)
    progress = after(how, *[HARM] * 3)
    assert decide(how, progress, HARM, NO_GATES).action is Action.HOLD
    assert progress.metrics[MetricName.ERRORS].harm.log_e > 5


def test_no_traffic_until_the_horizon_asks_a_person() -> None:
    how = definition(horizon_s=300, step_s=30)
    progress = after(how, *[QUIET] * 30)
    found = decide(how, progress, QUIET, NO_GATES)
    assert (found.verdict, found.action) == (Verdict.NOT_YET, Action.ASK)
    granted = msgspec.structs.replace(progress, granted_s=300.0)
    assert decide(how, granted, QUIET, NO_GATES).action is Action.HOLD


def test_a_step_is_prolonged_while_harm_is_suspected() -> None:
    how = definition(step_s=10, min_requests=100, hard_stop_errors=1000)
    odd = tick(candidate=(100, 6))
    progress = after(how, odd)
    assert 10 <= exp(analysis.gate_evidence(how, progress)) < 100
    found = decide(how, progress, odd, NO_GATES)
    assert (found.verdict, found.action) == (Verdict.NOT_YET, Action.HOLD)
    assert "suspected" in found.reason
    calm = after(how, *[GOOD] * 60, begin=progress)
    assert decide(how, calm, GOOD, NO_GATES).action is Action.ADVANCE


def test_no_harm_that_is_shown_ends_a_step_early() -> None:
    how = definition(step_s=10_000, metrics=[{"name": "errors"}])
    busy = tick((90_000, 900), (10_000, 100))
    found = decide(how, after(how, *[busy] * 3), busy, NO_GATES)
    assert (found.verdict, found.action) == (Verdict.PASS, Action.ADVANCE)
    assert "no harm" in found.reason


def test_the_warm_up_is_seen_but_not_judged() -> None:
    how = definition(warm_up_s=120)
    progress = analysis.warm(Progress(), HARM)
    assert (progress.warm_s, progress.judged_s, progress.exposed) == (10.0, 0.0, 100)
    assert dict(progress.metrics) == {}
    assert "warming up" in decide(how, progress, GOOD, NO_GATES).reason


def test_a_slower_tail_is_harm_and_a_floor_below_it_is_not() -> None:
    fast = {1000.0 * (1 + i): 10 for i in range(90)} | {200_000.0: 90, 250_000.0: 10}
    slow = {1000.0 * (1 + i): 1 for i in range(90)} | {300_000.0: 10}
    one = Tick(
        10.0,
        {Stratum.UNIT: Tally(1000, latency=fast)},
        {Stratum.UNIT: Tally(100, latency=slow)},
    )
    how = definition(latency_floor_ms=1.0)
    found = decide(how, after(how, *[one] * 12), one, NO_GATES)
    assert found.action is Action.ROLL_BACK
    assert MetricName.LATENCY_P90 in found.culprits or MetricName.LATENCY_P99 in found.culprits
    tolerant = definition(latency_floor_ms=150.0, step_s=1000)
    assert decide(tolerant, after(tolerant, *[one] * 12), one, NO_GATES).action is Action.HOLD


def test_the_onset_of_harm_is_found() -> None:
    from triune.delivery.rollout.model import Look

    how = definition(hard_stop_errors=1000)
    progress = after(how, *[GOOD] * 30, *[HARM] * 3)
    look = Look(1000.0, 33, Verdict.FAIL, Action.ROLL_BACK, "", 0.0, (MetricName.ERRORS,))
    found = analysis.since(how, progress, look)
    assert found == pytest.approx(1000.0 - 30, abs=10.0)
