"""A rollout in words, rows and JSON: what `status`, `watch` and `explain` show of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from triune.cli.output import many, when
from triune.cli.rollout_words import clock, evidence, percent
from triune.core.spans import span

if TYPE_CHECKING:
    from triune.delivery.rollout.view import MetricView, RolloutView

COLUMNS = ("metric", "candidate", "rate", "stable", "rate", "e", "needed", "p", "mode", "phi")
FIRST_OUT = ("phi", "p", "mode", "needed")

SHADOW_WORDS = {
    "pairs": "answers compared",
    "disagreements": "different answers",
    "failures": "only the live release answered",
    "lost": "not known",
    "skipped": "the live release did not answer itself",
    "distance": "mean distance of scores",
    "distance_max": "largest distance",
}


def facts(view: RolloutView, now: float) -> Iterator[tuple[str, object]]:
    """Where a rollout stands, line by line; ``now`` in seconds since 1970."""
    yield "rollout", f"{view.strategy.value} of {view.release}, begun {_moment(view.started)}"
    yield "by", view.actor
    if view.over:
        yield "outcome", outcome(view)
    else:
        yield "phase", standing(view)
        yield from _going(view, now)
    if view.looks:
        yield "evidence", against(view)
    if view.exposed:
        yield "exposed", exposed(view)
    if view.quality:
        yield "outcomes", outcomes(view.quality)
    if view.shadow:
        yield "compared", compared(view)


def standing(view: RolloutView) -> str:
    """The phase of a rollout that goes on."""
    return f"{view.phase}: {view.sentence}"


def _going(view: RolloutView, now: float) -> Iterator[tuple[str, object]]:
    if view.phase == "canary":
        yield "step", step(view)
    if view.looks:
        yield "verdict", f"{view.verdict}: {view.reason}" if view.reason else view.verdict
    if view.paused:
        yield "paused", paused(view)
    if view.next_at is not None:
        yield "next look", next_look(view.next_at, now)


def outcome(view: RolloutView) -> str:
    """How a rollout ended, in a line: the outcome, its sentence, and why."""
    words = why(view)
    name = f"{view.outcome}: " if view.outcome else ""
    return f"{name}{view.sentence}" + (f" {words[:1].upper()}{words[1:]}." if words else "")


def why(view: RolloutView) -> str:
    """Why a rollout ended so; empty when it is not known."""
    if view.why.get("test") and view.why["test"] != "aborted":
        return f"{view.why['test']}: {view.why.get('words', '')}"
    told = view.why.get("words") or view.why.get("reason") or view.reason
    return str(told).rstrip(".")


def step(view: RolloutView) -> str:
    """Which step of how many, and what of it is done."""
    needed = f"{view.step_requests} of {view.needed_requests} requests"
    seconds = f"{span(view.step_s)} of {span(view.needed_s)}"
    return (
        f"{view.step + 1} of {len(view.steps)}: {view.weight:g} % of the units; {needed}, {seconds}"
    )


def against(view: RolloutView) -> str:
    """The evidence against the candidate beside what decides."""
    gaps = f", {view.gaps} of them without readings" if view.gaps else ""
    return (
        f"e-value {evidence(view.e)} of {evidence(view.needed)} that roll back, "
        f"after {many(view.looks, 'look')}{gaps}"
    )


def exposed(view: RolloutView) -> str:
    """What users got of the candidate."""
    return f"{many(view.exposed, 'answer')}, {view.exposed_errors} of them errors"


def paused(view: RolloutView) -> str:
    """Who paused it, when and why."""
    wish = view.paused
    return f"since {clock(wish.at)} by {wish.actor}: {wish.reason}" if wish else ""


def next_look(next_at: float, now: float) -> str:
    """When the next look is due, or for how long it has been."""
    left = next_at - now
    return f"in {span(max(left, 0.0))}" if left > -1.0 else f"due for {span(-left)}"


def compared(view: RolloutView) -> str:
    """What a shadow's answers were beside the live ones."""
    seen = view.shadow or {}
    pairs, differ = seen.get("pairs", 0), seen.get("disagreements", 0)
    share = f" ({percent(differ / pairs)})" if pairs else ""
    return f"{many(pairs, 'answer')}, {differ} different{share}, {seen.get('failures', 0)} failed"


def outcomes(quality: Mapping[str, Any]) -> str:
    """What became of the cohorts of outcomes."""
    from triune.delivery.rollout.explain import cohorts

    return cohorts(quality)


def metric_rows(view: RolloutView) -> list[tuple[str, ...]]:
    """The table of metrics: events of requests and rates of both arms, and the evidence."""
    return [_row(metric) for metric in view.metrics]


def _row(metric: MetricView) -> tuple[str, ...]:
    return (
        metric.name,
        f"{metric.b}/{metric.n_b}",
        percent(metric.rate_b),
        f"{metric.a}/{metric.n_a}",
        percent(metric.rate_a),
        evidence(metric.e),
        evidence(metric.needed),
        f"{metric.p:.2g}",
        metric.mode.value,
        f"{metric.phi:.2f}",
    )


def shadow_rows(view: RolloutView) -> list[tuple[str, str]]:
    """A comparison line by line, with the times of both arms."""
    seen = view.shadow or {}
    rows: list[tuple[str, str]] = [
        (words, f"{seen[key]:.3g}" if isinstance(seen[key], float) else str(seen[key]))
        for key, words in SHADOW_WORDS.items()
        if seen.get(key) is not None
    ]
    for name in ("p50", "p99"):
        live, shadow = seen.get(f"live_{name}_ms"), seen.get(f"shadow_{name}_ms")
        if live is not None and shadow is not None:
            rows.append((f"{name} live, shadow", f"{live:.3g} ms, {shadow:.3g} ms"))
    return rows


def as_dict(view: RolloutView) -> dict[str, Any]:
    """The view as ``--json`` prints it: its fields, whether it is over, the metrics' rates."""
    value: dict[str, Any] = {
        field.name: getattr(view, field.name) for field in dataclasses.fields(view)
    }
    value["metrics"] = [
        {**dataclasses.asdict(metric), "rate_a": metric.rate_a, "rate_b": metric.rate_b}
        for metric in view.metrics
    ]
    return {**value, "over": view.over}


def _moment(at: float) -> str:
    return when(at * 1e6)
