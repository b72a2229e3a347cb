"""Rollouts made up for the command line to show: views, and the events of their looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import exp
from typing import Any

from tests.support.events import START, made
from triune.core.rollout_config import Mode, Strategy
from triune.delivery.rollout.model import Wish
from triune.delivery.rollout.view import OVER, MetricView, RolloutView
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

ENDPOINT = "flights/delay"
ROLLOUT = "0192aaaa-0000-7000-8000-000000000001"
RELEASE = "release:flights-delay@3f2a9c01b7de"
STABLE = "release:flights-delay@8b11d07e55aa"
BEGUN = START / 1e6
PAUSE = Wish("user:ada", "the on-call asks to wait", BEGUN + 100)

AUTOMATIC, WAITS = Mode.AUTOMATIC, Mode.PAUSE
SEEN = {"n_a": 46_170, "n_b": 2_430}
METRICS = (
    MetricView("errors", AUTOMATIC, **SEEN, a=471, b=31, e=0.412, p=0.81, needed=200.0,
               no_harm=0.92, phi=1.0),
    MetricView("latency-p50", AUTOMATIC, **SEEN, a=23_080, b=1_211, e=0.2, p=1.0, needed=600.0,
               no_harm=9.1, phi=1.2),
    MetricView("latency-p90", AUTOMATIC, **SEEN, a=4_611, b=240, e=0.31, p=1.0, needed=600.0,
               no_harm=3.3, phi=1.04),
    MetricView("latency-p99", WAITS, **SEEN, a=465, b=23, e=0.18, p=1.0, needed=100.0,
               no_harm=1.6, phi=1.0),
)  # fmt: skip


def canary(**changes: Any) -> RolloutView:
    """A canary at its second step that has seen nothing bad."""
    view = RolloutView(
        endpoint=ENDPOINT,
        rollout=ROLLOUT,
        release=RELEASE,
        stable=STABLE,
        strategy=Strategy.CANARY,
        actor="user:ada",
        started=BEGUN,
        phase="canary",
        sentence="A share of the units reaches the candidate; both arms are compared.",
        outcome="",
        why={},
        step=1,
        steps=(1.0, 5.0, 25.0, 50.0),
        weight=5.0,
        step_s=110.0,
        step_requests=1_090,
        needed_s=300.0,
        needed_requests=100,
        exposed=2_902,
        exposed_errors=31,
        looks=53,
        gaps=1,
        verdict="not yet",
        action="The share stays; the next look decides again.",
        reason="1090 of 100 requests, 110 of 300 s",
        e=0.412,
        needed=100.0,
        looked_at=BEGUN + 530,
        next_at=BEGUN + 540,
        paused=None,
        metrics=METRICS,
        shadow=None,
    )
    return replace(view, **changes)


def rolled_back(**changes: Any) -> RolloutView:
    """The same canary after its errors have risen."""
    bad = replace(METRICS[0], b=74, e=214.0, p=0.0047)
    why = {
        "reason": "the candidate makes errors worse (e-value 163)",
        "verdict": "fail",
        "metrics": ["errors"],
        "since": BEGUN + 470,
        "e": 163.0,
    }
    return canary(
        phase=OVER,
        sentence="All users are back on the stable release.",
        outcome="rolled-back",
        why=why,
        weight=0.0,
        verdict="fail",
        reason=str(why["reason"]),
        action="All traffic returns to the stable release.",
        e=163.0,
        exposed_errors=74,
        next_at=None,
        metrics=(bad, *METRICS[1:]),
        **changes,
    )


def blue_green(phase: str = OVER, **changes: Any) -> RolloutView:
    """A rollout without steps: no looks."""
    shown: dict[str, Any] = {
        "strategy": Strategy.BLUE_GREEN,
        "phase": phase,
        "looks": 0,
        "gaps": 0,
        "exposed": 0,
        "exposed_errors": 0,
        "weight": 0.0,
        "reason": "",
        "next_at": None,
        "looked_at": None,
    }
    if phase == OVER:
        shown |= {"outcome": "promoted", "sentence": "The candidate serves all users."}
    return canary(**{**shown, **changes})


SHADOW = {
    "pairs": 812,
    "disagreements": 9,
    "failures": 1,
    "lost": 0,
    "skipped": 4,
    "distance": 0.013,
    "distance_max": 0.41,
    "live_p50_ms": 3.11,
    "live_p99_ms": 11.8,
    "shadow_p50_ms": 3.4,
    "shadow_p99_ms": 14.2,
}


def shadowed(**changes: Any) -> RolloutView:
    """A shadow whose answers are being compared."""
    shown: dict[str, Any] = {
        "strategy": Strategy.SHADOW,
        "phase": "shadowing",
        "sentence": "Requests are mirrored to the candidate and its answers compared.",
        "shadow": SHADOW,
    }
    return blue_green(**{**shown, **changes})


def looks(count: int = 53, *, bad: bool = False) -> list[Event]:
    """A look every ten seconds: two warm-up minutes, 300 s at 1 %, then 5 %."""
    return [_look(number, bad=bad) for number in range(1, count + 1)]


def _look(number: int, *, bad: bool) -> Event:
    second, harm = number * 10, max(0, number - 47) if bad else 0
    weight = 100 if number <= 42 else 500
    candidate = 1000 * weight // 10_000
    advances, last = number == 42, bad and number == 53
    action = "roll-back" if last else "advance" if advances else "hold"
    verdict = "fail" if last else "pass" if advances else "not yet"
    reading: dict[str, Any] = {
        "seconds": 10.0,
        "control": 1000 - candidate,
        "candidate": candidate,
        "control_errors": 9 + number % 3,
        "candidate_errors": (number % 7 == 0) + harm,
    }
    return made(
        "rollout.looked",
        RELEASE,
        second=second,
        actor="service:controller",
        payload={
            "endpoint": ENDPOINT,
            "rollout": ROLLOUT,
            "number": number,
            "verdict": verdict,
            "action": action,
            "reason": {
                "roll-back": "the candidate makes errors worse (e-value 163)",
                "advance": "no metric shows harm after 300 requests in 300 s",
            }.get(action, f"{candidate * number} of 100 requests, {second} of 300 s"),
            "culprits": ["errors"] if last else [],
            "e": round(exp(-number / 60 + harm), 4),
            "needed": 100.0,
            "weight": weight,
            "next_at": None if last else BEGUN + second + 10,
            "reading": {"gap": "the gateway does not answer"} if number == 20 else reading,
            "metrics": {},
        },
    )


def comparison(second: int = 10, **changes: Any) -> Event:
    """A look at a shadow."""
    payload = {
        "endpoint": ENDPOINT,
        "rollout": ROLLOUT,
        "verdict": "not yet",
        "reason": "812 of 1000 answers",
        "tick": {"pairs": 100, "failures": 0},
        **SHADOW,
        **changes,
    }
    return made("rollout.compared", RELEASE, second=second, payload=payload)


class Log:
    """The ledger's `select` over events in a list, which may grow."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def select(self, query: Query) -> Iterator[Stored]:
        for sequence, event in enumerate(self.events, 1):
            wanted = event.kind == query.kind and query.subject in (None, event.subject)
            if wanted and sequence > query.after and event.time >= (query.since or 0):
                yield Stored(sequence, event)
