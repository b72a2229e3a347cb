"""A rollout as people look at it: where it stands, what it has seen, what comes next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isfinite
from typing import Any

from triune.core.rollout_config import Mode, Strategy
from triune.delivery.rollout import analysis, events
from triune.delivery.rollout.model import ACTIONS, Gates, Metric, MetricState, Record, Wish
from triune.delivery.state import OUTCOMES, SENTENCES, EndpointState, Outcome

OVER = "over"
_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Times:
    """A quantile of an arm's answer times in milliseconds, with its interval at 95 % that holds
    however often one looks (Howard and Ramdas 2022); None where nothing bounds a side."""

    low_ms: float | None
    ms: float | None
    high_ms: float | None


@dataclass(frozen=True, slots=True)
class MetricView:
    """One metric: requests and events of control (a) and candidate (b), and the evidence.

    ``e`` is the e-value of harm, ``needed`` what it must reach to decide alone; ``no_harm`` the
    same for harmlessness. ``phi`` above 1: the guarantee is approximate. ``tolerated``: the odds
    ratio that the split of the units may cause by itself. ``time_a`` and ``time_b``: of a latency,
    the quantile of each arm.
    """

    name: str
    mode: Mode
    n_a: int
    n_b: int
    a: int
    b: int
    e: float
    p: float
    needed: float | None
    no_harm: float
    phi: float
    tolerated: float = 1.0
    time_a: Times | None = None
    time_b: Times | None = None

    @property
    def rate_a(self) -> float | None:
        return self.a / self.n_a if self.n_a else None

    @property
    def rate_b(self) -> float | None:
        return self.b / self.n_b if self.n_b else None


@dataclass(frozen=True, slots=True)
class RolloutView:
    """See the module's words; times in seconds since 1970, weights in percent of the units.

    ``quality``: with the metric `wrong`, what became of its cohorts (`events.quality_facts`).
    """

    endpoint: str
    rollout: str
    release: str
    stable: str | None
    strategy: Strategy
    actor: str
    started: float
    phase: str
    sentence: str
    outcome: str
    why: Mapping[str, Any]
    step: int
    steps: tuple[float, ...]
    weight: float
    step_s: float
    step_requests: int
    needed_s: float
    needed_requests: int
    exposed: int
    exposed_errors: int
    looks: int
    gaps: int
    verdict: str
    action: str
    reason: str
    e: float
    needed: float
    looked_at: float | None
    next_at: float | None
    paused: Wish | None
    metrics: tuple[MetricView, ...]
    shadow: Mapping[str, Any] | None
    quality: Mapping[str, Any] | None = None

    @property
    def over(self) -> bool:
        return self.phase == OVER


def view(record: Record, now: EndpointState, gates: Gates) -> RolloutView:
    """The latest rollout of an endpoint."""
    definition, progress, last = record.definition, record.progress, record.last
    pending = now.pending if now.pending and now.pending.rollout == record.rollout else None
    ending = now.last if now.last and now.last.rollout == record.rollout else None
    outcome = ending.outcome.value if ending else record.outcome
    return RolloutView(
        endpoint=record.endpoint,
        rollout=record.rollout,
        release=record.release,
        stable=record.stable,
        strategy=definition.strategy,
        actor=record.actor,
        started=record.started,
        phase=pending.phase.value if pending else OVER,
        sentence=SENTENCES[pending.phase] if pending else _ended(outcome),
        outcome=outcome,
        why=ending.why if ending else {},
        step=progress.step,
        steps=tuple(step / 100 for step in definition.steps),
        weight=pending.weight / 100 if pending else 0.0,
        step_s=progress.step_s,
        step_requests=progress.step_requests,
        needed_s=definition.step_s,
        needed_requests=definition.min_requests,
        exposed=progress.exposed,
        exposed_errors=progress.exposed_errors,
        looks=progress.looks,
        gaps=progress.gaps,
        verdict=last.verdict.value if last else "not yet",
        action=ACTIONS[last.action] if last else "",
        reason=last.reason if last else "",
        e=events.e_value(analysis.gate_evidence(definition, progress)),
        needed=1.0 / definition.alpha,
        looked_at=last.at if last else None,
        next_at=last.next_at if last and pending else None,
        paused=gates.paused if pending else None,
        metrics=tuple(_metric(record, metric) for metric in definition.metrics),
        shadow=events.shadow_facts(record.shadow.total) if record.shadow else None,
        quality=events.quality_facts(record),
    )


def _ended(outcome: str) -> str:
    return OUTCOMES[Outcome(outcome)] if outcome in set(Outcome) else "It never began."


def _metric(record: Record, metric: Metric) -> MetricView:
    state = record.progress.metrics.get(metric.name, MetricState())
    needed = None if metric.weight == 0 else 1.0 / (record.definition.alpha * metric.weight)
    return MetricView(
        name=metric.name.value,
        mode=metric.mode,
        n_a=state.n_a,
        n_b=state.n_b,
        a=state.a,
        b=state.b,
        e=events.e_value(state.harm.log_e),
        p=state.harm.p,
        needed=needed,
        no_harm=exp(min(state.no_harm.log_e, 700.0)),
        phi=metric.phi,
        tolerated=exp(metric.offset(record.progress.step)[1]),
        time_a=_times(metric, record.progress.times_a),
        time_b=_times(metric, record.progress.times_b),
    )


def _times(metric: Metric, times: Mapping[float, int]) -> Times | None:
    if metric.quantile is None or not times:
        return None
    from triune.stats.quantile_interval import of_histogram

    edges = sorted(times)
    found = of_histogram(edges, [times[edge] for edge in edges], metric.quantile, _ALPHA)
    return Times(*(_milliseconds(value) for value in (found.low, found.estimate, found.high)))


def _milliseconds(microseconds: float) -> float | None:
    return round(microseconds / 1000, 3) if isfinite(microseconds) else None
