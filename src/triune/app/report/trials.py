"""Canaries and shadows as their events tell them: what was seen, and what was made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from triune.app.report.model import (
    CanaryView,
    LookPoint,
    MetricRow,
    RateInterval,
    ReleaseView,
    ShadowPoint,
    ShadowView,
    WeightStep,
)
from triune.app.report.rollouts import was_shadow
from triune.core.rollout_config import Mode, Strategy
from triune.delivery.rollout.explain import explain
from triune.delivery.rollout.shadow import ShadowTick
from triune.delivery.rollout.shadow_gate import Interval, Limits, judge
from triune.delivery.rollout.view import OVER, MetricView, RolloutView
from triune.delivery.state import OUTCOMES, SENTENCES, Outcome, Phase
from triune.ledger.envelope import Event

ALPHA = 0.01
"""Of a canary that has not looked yet."""

Releases = Mapping[str, ReleaseView]
Explained = Mapping[str, Sequence[str]]
"""Sentences by rollout, where somebody kept them."""


def canaries(
    events: Iterable[Event], releases: Releases, explained: Explained
) -> tuple[CanaryView, ...]:
    """Every canary that reached users, in order."""
    return tuple(
        _canary(rollout, told, releases, explained)
        for rollout, told in _by_rollout(events)
        if _of(told, "rollout.stepped") and told[0].subject in releases
    )


def shadows(events: Iterable[Event], releases: Releases, limits: Limits) -> tuple[ShadowView, ...]:
    """Every shadow that was looked at, in order.

    ``limits`` are the definition's; events say only what was counted.
    """
    return tuple(
        _shadow(rollout, told, releases, limits)
        for rollout, told in _by_rollout(events)
        if _of(told, "rollout.compared") and told[0].subject in releases
    )


def _by_rollout(events: Iterable[Event]) -> Iterator[tuple[str, list[Event]]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(str(event.payload.get("rollout", event.id)), []).append(event)
    yield from found.items()


def _of(events: Iterable[Event], *kinds: str) -> list[Event]:
    return [event for event in events if event.kind in kinds]


def _canary(
    rollout: str, told: Sequence[Event], releases: Releases, explained: Explained
) -> CanaryView:
    looked, stepped = _of(told, "rollout.looked"), _of(told, "rollout.stepped")
    end = _end(told)
    ended = end.time / 1e6 if end else None
    last = looked[-1].payload if looked else {}
    why = end.payload if end and end.kind == "rollout.rolled-back" else {}
    steps = [WeightStep(one.time / 1e6, one.payload["weight"] / 100) for one in stepped]
    if end:
        steps.append(WeightStep(end.time / 1e6, 0.0 if why else 100.0))
    kept = explained.get(rollout)
    return CanaryView(
        rollout=rollout,
        release=releases[told[0].subject],
        stable=releases.get(_stable(told)),
        began=steps[0].at,
        ended=ended,
        outcome="" if end is None else ("rolled-back" if why else "promoted"),
        reason=str(why.get("reason") or last.get("reason", "")),
        needed=float(last.get("needed", 1 / ALPHA)),
        looks=tuple(_look(one) for one in looked),
        steps=tuple(steps),
        metrics=tuple(_metrics(last, why)),
        sentences=tuple(kept or explain(_view(rollout, told, end, last, why), None)),
    )


def _end(told: Sequence[Event]) -> Event | None:
    """The moment its users were wholly on one release; a later way back is another story."""
    ends = _of(told, "rollout.switched", "rollout.rolled-back")
    return next((one for one in ends if not was_shadow(one)), None)


def _stable(told: Sequence[Event]) -> str:
    began = next(iter(_of(told, "rollout.started")), None)
    return str(began.payload.get("previous")) if began else ""


def _look(event: Event) -> LookPoint:
    reading = event.payload["reading"]
    return LookPoint(
        at=event.time / 1e6,
        seconds=float(reading.get("seconds", 0.0)),
        control=int(reading.get("control", 0)),
        candidate=int(reading.get("candidate", 0)),
        control_errors=int(reading.get("control_errors", 0)),
        candidate_errors=int(reading.get("candidate_errors", 0)),
        e=float(event.payload["e"]),
        gap=str(reading.get("gap", "")),
    )


def _metrics(last: Mapping[str, Any], why: Mapping[str, Any]) -> Iterator[MetricRow]:
    for name, row in last.get("metrics", {}).items():
        yield MetricRow(
            name=name,
            n_a=row["n_a"],
            a=row["a"],
            n_b=row["n_b"],
            b=row["b"],
            e=row["e"],
            p=row["p"],
            named=name in why.get("metrics", []),
        )


def _view(
    rollout: str,
    told: Sequence[Event],
    end: Event | None,
    last: Mapping[str, Any],
    why: Mapping[str, Any],
) -> RolloutView:
    """The rollout as `triune.delivery.rollout.view` shows it, as far as events tell."""
    looked, weight = _of(told, "rollout.looked"), _of(told, "rollout.stepped")[-1].payload["weight"]
    outcome = Outcome.ROLLED_BACK if why else Outcome.PROMOTED
    readings = [one.payload["reading"] for one in looked]
    return RolloutView(
        endpoint=str(told[0].payload["endpoint"]),
        rollout=rollout,
        release=told[0].subject,
        stable=_stable(told) or None,
        strategy=Strategy.CANARY,
        actor=told[0].actor,
        started=told[0].time / 1e6,
        phase=OVER if end else Phase.CANARY.value,
        sentence=OUTCOMES[outcome] if end else SENTENCES[Phase.CANARY],
        outcome=outcome.value if end else "",
        why=why,
        step=0,
        steps=(),
        weight=weight / 100,
        step_s=0.0,
        step_requests=0,
        needed_s=0.0,
        needed_requests=0,
        exposed=sum(one.get("candidate", 0) for one in readings),
        exposed_errors=sum(one.get("candidate_errors", 0) for one in readings),
        looks=len(looked),
        gaps=sum("gap" in one for one in readings),
        verdict=str(last.get("verdict", "not yet")),
        action=str(last.get("action", "")),
        reason=str(last.get("reason", "")),
        e=float(last.get("e", 1.0)),
        needed=float(last.get("needed", 1 / ALPHA)),
        looked_at=None,
        next_at=None,
        paused=None,
        metrics=tuple(_metric_view(row) for row in _metrics(last, why)),
        shadow=None,
    )


def _metric_view(row: MetricRow) -> MetricView:
    return MetricView(
        name=row.name,
        mode=Mode.AUTOMATIC,
        n_a=row.n_a,
        n_b=row.n_b,
        a=row.a,
        b=row.b,
        e=row.e,
        p=row.p,
        needed=None,
        no_harm=1.0,
        phi=1.0,
    )


def _shadow(rollout: str, told: Sequence[Event], releases: Releases, limits: Limits) -> ShadowView:
    looked = _of(told, "rollout.compared")
    last = looked[-1].payload
    return ShadowView(
        rollout=rollout,
        release=releases[told[0].subject],
        stable=releases.get(_stable(told)),
        verdict=str(last["verdict"]),
        reason=str(last["reason"]),
        planned=limits.pairs,
        most_disagreement=limits.disagreement,
        most_failures=limits.failures,
        points=tuple(_point(one, limits) for one in looked if one.payload["pairs"]),
        totals=last,
    )


def _point(event: Event, limits: Limits) -> ShadowPoint:
    seen = event.payload
    total = ShadowTick(
        pairs=seen["pairs"], disagreements=seen["disagreements"], failures=seen["failures"]
    )
    found = judge(total, limits)
    return ShadowPoint(
        at=event.time / 1e6,
        pairs=total.pairs,
        disagreement=_rate(total.disagreements, total.pairs, found.disagreement),
        failures=_rate(total.failures, total.trials, found.failures),
    )


def _rate(count: int, of: int, interval: Interval) -> RateInterval:
    return RateInterval(count / of if of else 0.0, *interval)
