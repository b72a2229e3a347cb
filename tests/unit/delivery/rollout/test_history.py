"""The traffic before a rollout, from the ledger."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import pytest

from tests.support.evidence import definition
from triune.core.assignment import bucket
from triune.core.ids import new_id
from triune.core.rollout_config import MetricName
from triune.delivery.rollout import history
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

NOW = 1_000_000.0


@dataclass
class Log:
    events: list[Event]

    def select(self, query: Query) -> Iterator[Stored]:
        until = query.until or inf
        found = [
            e for e in self.events if e.kind == query.kind and (query.since or 0) <= e.time <= until
        ]
        for number, event in enumerate(sorted(found, key=lambda e: -e.time)):
            yield Stored(number, event)


def answer(ago: float, *, failed: bool = False, unit: str | None = "u", **more: object) -> Event:
    payload = {"endpoint": "e", "unit": unit, "duration_ms": 2.0, "degraded": False, **more}
    kind = "request.failed" if failed else "prediction.served"
    return Event(
        id=new_id(),
        time=round((NOW - ago) * 1e6),
        kind=kind,
        subject="prediction:x",
        actor="service:gateway",
        workspace="w",
        payload=payload,
    )


def test_traffic_in_a_few_numbers() -> None:
    events = [answer(100 - i, unit=f"u{i % 7}", duration_ms=float(i)) for i in range(100)]
    events += [answer(50, failed=True), answer(20, unit=None), answer(10, endpoint="other")]
    seen = history.answers(Log(events), "e", now=NOW)  # type: ignore[arg-type]
    found = history.traffic(seen, now=NOW)
    assert (found.requests, found.errors, found.units, found.anonymous) == (102, 1, 8, 1)
    assert found.rate == pytest.approx(1.02)
    assert found.p50_ms == pytest.approx(48.5, abs=1)


def test_what_is_older_than_the_window_does_not_count() -> None:
    seen = history.answers(Log([answer(700), answer(10)]), "e", now=NOW)  # type: ignore[arg-type]
    assert len(seen) == 1


def test_nothing_seen_is_no_traffic() -> None:
    found = history.traffic([], now=NOW)
    assert (found.rate, found.error_rate, found.p99_ms) == (0.0, 0.0, None)


def test_independent_errors_do_not_scatter_and_those_of_a_sick_unit_do() -> None:
    draw = random.Random(5)
    even = [
        answer(600 - i * 0.05, failed=draw.random() < 0.05, unit=f"u{draw.randrange(500)}")
        for i in range(12_000)
    ]
    sick = [
        answer(600 - i * 0.05, unit=f"u{i % 40}", failed=(i // 200 + i) % 40 == 0)
        for i in range(12_000)
    ]
    for events, low, high in ((even, 1.0, 1.6), (sick, 2.0, 20.0)):
        seen = history.answers(Log(events), "e", now=NOW)  # type: ignore[arg-type]
        assert low <= history.dispersions(seen, 10.0)[MetricName.ERRORS] <= high


def test_instances_are_the_halves_where_there_are_several() -> None:
    events = [
        answer(600 - i * 0.05, unit=f"u{i % 500}", instance=str(i % 2), failed=i % 40 == 1)
        for i in range(12_000)
    ]
    seen = history.answers(Log(events), "e", now=NOW)  # type: ignore[arg-type]
    assert history.dispersions(seen, 10.0)[MetricName.ERRORS] > 3.0


def test_what_the_gateway_answered_itself_is_in_no_instance_s_half() -> None:
    draw = random.Random(3)
    events = [
        answer(600 - i * 0.05, instance=str(i % 2), unit="u", failed=draw.random() < 0.02)
        for i in range(12_000)
    ]
    calm = history.answers(Log(events), "e", now=NOW)  # type: ignore[arg-type]
    for burst in range(30):
        events += [answer(20.0 * burst + 5, failed=True, instance=None) for _ in range(20)]
    stormy = history.answers(Log(events), "e", now=NOW)  # type: ignore[arg-type]
    assert len(stormy) == len(calm) + 600
    for seen in (calm, stormy):
        assert history.dispersions(seen, 10.0)[MetricName.ERRORS] < 1.6


def test_very_many_answers_that_fill_only_seconds_still_say_how_they_scatter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "MOST", 4_000)
    events = [
        answer(600 - i * 0.001, unit=f"u{i % 40}", failed=(i // 50 + i) % 40 == 0)
        for i in range(10_000)
    ]
    seen = history.answers(Log(events), "e", now=NOW)  # type: ignore[arg-type]
    assert seen[-1].at - seen[0].at < 5.0
    found = history.dispersions(seen, 10.0)
    assert found[MetricName.ERRORS] >= 1.0
    assert MetricName.LATENCY_P90 not in found  # all took equally long: nothing scatters


def test_only_one_release_is_asked_for_and_only_before() -> None:
    events = [
        answer(10, release="release:a"),
        answer(20, release="release:b"),
        answer(30, release=None, failed=True),
        answer(-5, release="release:a"),
    ]
    seen = history.answers(Log(events), "e", now=NOW, release="release:a")  # type: ignore[arg-type]
    assert [NOW - one.at for one in seen] == [30, 10]


def test_a_definition_is_tempered_but_never_below_what_it_asks_for() -> None:
    how = history.tempered(definition(phi=1.2), {MetricName.ERRORS: 2.5})
    phis = {metric.name: metric.phi for metric in how.metrics}
    assert phis[MetricName.ERRORS] == 2.5
    assert phis[MetricName.LATENCY_P99] == 1.2


def test_what_the_split_of_the_units_does_by_itself_is_known_beforehand() -> None:
    sick = {unit for unit in (f"u{i}" for i in range(300)) if bucket("e", unit) < 1000}
    assert 10 < len(sick) < 60
    events = [
        answer(600 - i * 0.05, unit=unit, failed=i % 10 == 0 and (unit in sick or i % 100 == 0))
        for i in range(12_000)
        if (unit := f"u{i % 300}")
    ]
    seen = history.answers(Log(events), "e", now=NOW)  # type: ignore[arg-type]
    how = history.prior(definition(steps=[10.0, 50.0]), seen)
    errors = next(m for m in how.metrics if m.name is MetricName.ERRORS)
    assert errors.offset(0)[1] > 1.5
    assert errors.offset(0)[1] > errors.offset(1)[1] > 0.0
    assert errors.offset(7) == (0.0, 0.0)


def test_units_that_are_alike_get_hardly_any_offset() -> None:
    draw = random.Random(7)
    events = [
        answer(600 - i * 0.05, failed=draw.random() < 0.05, unit=f"u{draw.randrange(300)}")
        for i in range(12_000)
    ]
    seen = history.answers(Log(events), "e", now=NOW)  # type: ignore[arg-type]
    for metric in history.prior(definition(steps=[10.0]), seen).metrics:
        low, high = metric.offset(0)
        assert -0.3 < low <= 0.0 <= high < 0.3
