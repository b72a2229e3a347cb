"""A rollout in words: what a person reads when it has ended, or stands somewhere."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support.evidence import NO_GATES, after, definition, tally, tick
from triune.core.rollout_config import Mode
from triune.delivery.gateway.model import Stratum
from triune.delivery.rollout import analysis, events
from triune.delivery.rollout.explain import explain
from triune.delivery.rollout.model import Action, Look, Record
from triune.delivery.rollout.readings import Tick
from triune.delivery.rollout.verdict import Verdict
from triune.delivery.rollout.view import RolloutView, view
from triune.delivery.state import (
    Arm,
    Colour,
    Ending,
    EndpointState,
    Outcome,
    Pending,
    Phase,
)

HOW = definition(steps=[10.0, 50.0], hard_stop_errors=1000)
LIVE = Arm("release:e@aaaaaaaaaaaa", Colour.BLUE, 1, "arm-e-blue")
CANDIDATE = Arm("release:e@bbbbbbbbbbbb", Colour.GREEN, 2, "arm-e-green")
WEIGHED = Pending(Phase.CANARY, CANDIDATE, "r1", "m", "user:ada", weight=1000)


def record(*ticks: Any) -> Record:
    progress = after(HOW, *ticks)
    return Record(
        rollout="r1",
        endpoint="e",
        release=CANDIDATE.release,
        stable=LIVE.release,
        actor="user:ada",
        started=1000.0,
        definition=HOW,
        progress=msgspec.structs.replace(progress, exposed=100 * len(ticks), looks=len(ticks)),
    )


def rolled_back() -> RolloutView:
    seen = record(*[tick()] * 6, *[tick(candidate=(100, 30))] * 3)
    look = Look(
        2000.0,
        9,
        Verdict.FAIL,
        Action.ROLL_BACK,
        "the candidate makes errors worse",
        analysis.gate_evidence(HOW, seen.progress),
        analysis.culprits(HOW, seen.progress, [Mode.AUTOMATIC]),
    )
    seen = msgspec.structs.replace(seen, last=look, outcome="rolled-back")
    why = {
        "reason": look.reason,
        "metrics": [name.value for name in look.culprits],
        "since": analysis.since(HOW, seen.progress, look),
    }
    last = Ending("r1", CANDIDATE.release, Outcome.ROLLED_BACK, why)
    return view(seen, EndpointState("e", LIVE, last=last), NO_GATES)


def test_a_rollback_says_what_since_when_how_sure_and_for_how_many() -> None:
    words = " ".join(explain(rolled_back(), users=87))
    assert f"{CANDIDATE.release} was rolled back from e: the candidate makes errors worse" in words
    assert "It most plausibly began at 1970-01-01 00:32:50 UTC" in words
    assert "10.67% answers that were errors (96 of 900)" in words
    assert "against 1.00% (81 of 8100)" in words
    assert "100 was needed" in words
    assert "at most 1 in 100" in words
    assert "900 answers to 87 users" in words


def test_a_rollout_under_way_says_where_it_stands() -> None:
    now = EndpointState("e", LIVE, pending=WEIGHED)
    seen = view(record(tick()), now, NO_GATES)
    assert (seen.phase, seen.weight, seen.over) == ("canary", 10.0, False)
    words = " ".join(explain(seen, users=None))
    assert "is at 10 % of the units of e" in words
    assert "errors: 1.00%" in words


def test_a_candidate_nobody_saw_exposed_nobody() -> None:
    last = Ending("r1", CANDIDATE.release, Outcome.REFUSED, {"test": "start", "words": "it died"})
    seen = view(record(), EndpointState("e", LIVE, last=last), NO_GATES)
    words = explain(seen, users=0)
    assert words[0] == "release:e@bbbbbbbbbbbb was refused before it saw traffic: it died."
    assert "No user was exposed to it." in words


def test_clusters_are_owned_up_to() -> None:
    metrics = tuple(msgspec.structs.replace(m, phi=1.6) for m in HOW.metrics)
    how = msgspec.structs.replace(HOW, metrics=metrics)
    seen = msgspec.structs.replace(record(tick()), definition=how)
    words = " ".join(explain(view(seen, EndpointState("e", LIVE), NO_GATES), users=1))
    assert "come in clusters" in words
    assert "approximate" in words


def test_what_a_metric_must_reach_to_decide_alone_depends_on_its_weight() -> None:
    seen = view(record(tick()), EndpointState("e", LIVE), NO_GATES)
    needed = {metric.name: metric.needed for metric in seen.metrics}
    assert needed["errors"] == 200.0
    assert needed["latency-p99"] == pytest.approx(1000 / 3)


def test_a_record_reads_back_as_it_was_written() -> None:
    for seen in (record(), record(*[tick()] * 3)):
        data = msgspec.json.encode(seen)
        assert msgspec.json.decode(data, type=Record) == seen


def test_an_e_value_fits_into_json_however_large() -> None:
    assert events.e_value(5000.0) < float("inf")
    assert events.e_value(float("-inf")) == 0.0


def test_a_latency_is_told_with_its_interval_in_both_arms() -> None:
    fast = {1000.0 * (1 + i): 10 for i in range(90)}
    slow = {3000.0 * (1 + i): 10 for i in range(30)}
    both = Tick(
        10.0, {Stratum.UNIT: tally(900, latency=fast)}, {Stratum.UNIT: tally(300, latency=slow)}
    )
    seen = view(record(both), EndpointState("e", LIVE, pending=WEIGHED), NO_GATES)
    (p90,) = (metric for metric in seen.metrics if metric.name == "latency-p90")
    assert p90.time_a is not None
    assert p90.time_a.low_ms is not None
    assert p90.time_a.high_ms is not None
    assert p90.time_a.low_ms < 82 < p90.time_a.high_ms
    words = " ".join(explain(seen, users=None))
    assert "answers above the common 90% latency, " in words
    assert " ms (" in words
