"""Why a rollout ended as it did, or stands where it stands, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from triune.core.rollout_config import MetricName, Strategy
from triune.delivery.rollout.cohorts import DROPS, Drop
from triune.delivery.rollout.model import LATENCIES
from triune.delivery.rollout.view import MetricView, RolloutView, Times
from triune.delivery.state import Outcome

_WORDS = {
    MetricName.ERRORS.value: "answers that were errors",
    MetricName.TIMEOUTS.value: "answers that came too late",
    MetricName.DEGRADED.value: "answers of the fallback",
    MetricName.ABANDONED.value: "requests whose callers did not wait for the answer",
    MetricName.WRONG.value: "predictions that outcomes refuted",
}


def explain(view: RolloutView, users: int | None) -> list[str]:
    """What happened, since when, how sure that is, and how many users were exposed.

    ``users``: distinct units that the candidate answered; None when the ledger does not say.
    """
    return [
        *_what(view),
        *_since(view),
        *_evidence(view),
        *_exposed(view, users),
        *_outcomes(view),
        *_caveat(view),
    ]


def _what(view: RolloutView) -> Iterator[str]:
    if not view.over:
        yield f"{view.release} is at {view.weight:g} % of the units of {view.endpoint}."
        yield (
            f"{view.sentence} {view.reason[:1].upper()}{view.reason[1:]}."
            if view.reason
            else (view.sentence)
        )
        return
    reason = view.why.get("reason") or view.why.get("words") or view.reason
    ended = {
        Outcome.PROMOTED.value: f"{view.release} was promoted at {view.endpoint}",
        Outcome.ROLLED_BACK.value: f"{view.release} was rolled back from {view.endpoint}",
        Outcome.REFUSED.value: f"{view.release} was refused before it saw traffic",
        Outcome.COMPARED.value: f"{view.release} ran as a shadow of {view.endpoint}",
    }.get(view.outcome, f"The rollout of {view.release} never began")
    yield f"{ended}: {reason}." if reason else f"{ended}."


def _since(view: RolloutView) -> Iterator[str]:
    since = view.why.get("since")
    if isinstance(since, int | float):
        moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        yield f"It most plausibly began at {moment}."


def _evidence(view: RolloutView) -> Iterator[str]:
    named = view.why.get("metrics") or []
    shown = [m for m in view.metrics if m.name in named]
    for metric in shown or ([] if view.over else view.metrics):
        yield _compared(metric)
    if shown and view.e < view.needed:
        yield "So many at once need no statistics: the hard stop, outside the claim of alpha."
    elif shown:
        yield (
            f"The evidence reached an e-value of {view.e:.3g}; {view.needed:.3g} was needed. "
            f"A harmless candidate gets there with a chance of at most 1 in {view.needed:.3g}, "
            "however often one looks."
        )


def _compared(metric: MetricView) -> str:
    if metric.rate_a is None or metric.rate_b is None:
        return f"{metric.name}: nothing to compare yet."
    words = _WORDS.get(metric.name)
    if words is None:
        quantile = LATENCIES[MetricName(metric.name)]
        words = f"answers above the common {quantile:.0%} latency"
        words += _times(metric)
    return (
        f"{metric.name}: {metric.rate_b:.2%} {words} ({metric.b} of {metric.n_b}) against "
        f"{metric.rate_a:.2%} ({metric.a} of {metric.n_a}), e-value {metric.e:.3g}."
    )


def _times(metric: MetricView) -> str:
    """The quantile itself, of both arms."""
    mine, other = metric.time_b, metric.time_a
    if mine is None or other is None or mine.ms is None or other.ms is None:
        return ""
    return f", {_time(mine)} against {_time(other)}"


def _time(times: Times) -> str:
    low = "0" if times.low_ms is None else f"{times.low_ms:.3g}"
    high = "?" if times.high_ms is None else f"{times.high_ms:.3g}"
    return f"{times.ms:.3g} ms ({low} to {high})"


def _exposed(view: RolloutView, users: int | None) -> Iterator[str]:
    if view.strategy is Strategy.BLUE_GREEN and view.outcome != Outcome.REFUSED.value:
        if view.over:
            yield "Every user was moved to it at once."
        return
    if view.exposed == 0 and not users:
        yield "No user was exposed to it."
        return
    who = "" if users is None else f" to {users} users"
    yield (
        f"It gave {view.exposed} answers{who}, {view.exposed_errors} of them errors, "
        f"in {view.looks} looks."
    )


def _outcomes(view: RolloutView) -> Iterator[str]:
    if view.quality is not None:
        yield f"Outcomes: {cohorts(view.quality)}."


def cohorts(quality: Mapping[str, Any]) -> str:
    """What became of the cohorts of outcomes, in a line: judged, left out and why."""
    judged, waiting = quality["judged"], quality["waiting"]
    found = [f"{judged} {_plural('cohort', judged)} judged"]
    found += [f"{waiting} {'waits' if waiting == 1 else 'wait'}"] if waiting else []
    dropped = [
        f"{count} left out: {_clause(DROPS[Drop(why)])}"
        for why, count in quality["dropped"].items()
    ]
    words = [", ".join([*found, *dropped[:1]]), *dropped[1:]]
    if quality["late"]:
        words.append(f"{quality['late']} predictions or outcomes came too late to count")
    if quality["unusable"]:
        number = quality["unusable"]
        words.append(f"{number} {_plural('outcome', number)} had no number to compare")
    return "; ".join(words)


def _clause(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"


def _caveat(view: RolloutView) -> Iterator[str]:
    if view.gaps:
        yield f"{view.gaps} of the looks had no readings and decided nothing."
    uneven = [f"{m.name} {m.tolerated:.2f}" for m in view.metrics if m.tolerated > 1.1]
    if uneven:
        yield (
            "The units of the two arms differ by themselves, so this much of the odds is no "
            f"harm: {', '.join(uneven)}."
        )
    scattered = [f"{m.name} {m.phi:.2f}" for m in view.metrics if m.phi > 1.1]
    if scattered:
        yield (
            "Events come in clusters here (phi: "
            + ", ".join(scattered)
            + "): the evidence is tempered for that, and its guarantee approximate."
        )
