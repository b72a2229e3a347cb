"""Rollout events as marks on the timeline, smoke results, ways back and fates. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from triune.app.replay.model import Record
from triune.app.report.model import (
    Mark,
    MarkKind,
    ReleaseView,
    RollbackView,
    SmokeView,
    TestView,
)
from triune.core.ids import kind_of
from triune.ledger.envelope import Event

SETTLE_SECONDS = 1.0
CANDIDATE = "candidate"

Told = tuple[tuple[SmokeView, ...], tuple[Mark, ...], tuple[RollbackView, ...]]


def tell(events: Iterable[Event], releases: Mapping[str, ReleaseView]) -> Told:
    """What the rollouts were, in order: candidates and their tests, moments, ways back."""
    smoke: dict[str, SmokeView] = {}
    marks: list[Mark] = []
    rollbacks: list[RollbackView] = []
    for event in events:
        release = releases.get(event.subject)
        if release is None:
            continue
        at = event.time / 1e6
        match event.kind:
            case "rollout.smoked":
                smoke[_rollout(event)] = SmokeView(release, _tests(event.payload), "")
            case "rollout.refused":
                before = smoke.get(_rollout(event))
                words = f"{event.payload.get('test', '')}: {event.payload.get('words', '')}"
                smoke[_rollout(event)] = SmokeView(release, before.tests if before else (), words)
                label = f"{release.letter} refused"
                marks.append(Mark(at, MarkKind.REFUSED, label, release.css))
            case "rollout.shadowed":
                label = f"{release.letter} in shadow"
                marks.append(Mark(at, MarkKind.SHADOW, label, release.css))
            case "rollout.stepped":
                label = f"{release.letter} {event.payload['weight'] / 100:g} %"
                marks.append(Mark(at, MarkKind.STEP, label, release.css))
            case "rollout.switched":
                first = event.payload.get("previous") is None
                label = f"{release.letter} serves" if first else f"{release.letter} takes over"
                marks.append(Mark(at, MarkKind.SWITCH, label, release.css))
            case "rollout.rolled-back" if not was_shadow(event):
                rollback = _rollback(event, release, releases)
                rollbacks.append(rollback)
                to = releases.get(str(event.payload.get("to")))
                css = to.css if to else release.css
                marks.append(Mark(at, MarkKind.ROLLBACK, f"back on {rollback.to}", css))
    return tuple(smoke.values()), tuple(marks), tuple(rollbacks)


def was_shadow(event: Event) -> bool:
    """Whether a way back is only the end of a shadow, which no user had reached."""
    return event.payload.get("outcome") == "compared"


def fates(events: Iterable[Event]) -> dict[str, str]:
    """What became of each release, in two or three words: the last event decides."""
    words = {
        "rollout.shadowed": "in shadow",
        "rollout.stepped": "canary",
        "rollout.refused": "refused",
    }
    found: dict[str, str] = {}
    for event in events:
        if event.kind in words:
            found[event.subject] = words[event.kind]
        elif event.kind == "rollout.rolled-back":
            found[event.subject] = "compared" if was_shadow(event) else "rolled back"
            if event.payload.get("to"):
                found[str(event.payload["to"])] = "serves"
        elif event.kind == "rollout.switched":
            found = {ref: "served" if fate == "serves" else fate for ref, fate in found.items()}
            found[event.subject] = "serves"
    return found


def candidates_own(record: Record) -> bool:
    """Whether a canary's candidate itself answered with an error: what a canary is there to see."""
    return record.answered and not record.good and record.arm == CANDIDATE


def while_failing(records: Iterable[Record], rollbacks: Sequence[RollbackView]) -> int:
    """How many requests went wrong from just before a release's first failed check until just
    after traffic had left it, a candidate's own errors aside.

    A canary that was taken back by evidence is no such time: beside its own errors none is
    excused.
    """
    windows = [
        (one.at.timestamp() - (one.seconds or 0.0) - SETTLE_SECONDS, one.at.timestamp())
        for one in rollbacks
        if not one.judged
    ]
    return sum(
        any(begin <= record.sent / 1e6 <= end + SETTLE_SECONDS for begin, end in windows)
        for record in records
        if not record.good and not candidates_own(record)
    )


def _rollout(event: Event) -> str:
    return str(event.payload.get("rollout", event.id))


def _tests(payload: Mapping[str, Any]) -> tuple[TestView, ...]:
    return tuple(
        TestView(str(row["name"]), bool(row["passed"]), str(row.get("words", "")))
        for row in payload.get("results", [])
    )


def _rollback(event: Event, left: ReleaseView, releases: Mapping[str, ReleaseView]) -> RollbackView:
    payload = event.payload
    to = releases.get(str(payload.get("to")))
    seconds = payload.get("seconds")
    at: datetime = event.at
    return RollbackView(
        rollout=_rollout(event),
        left=left.letter,
        css=left.css,
        to=to.letter if to else kind_of(str(payload.get("to"))),
        reason=str(payload.get("reason", "")),
        seconds=None if seconds is None else float(seconds),
        by=event.actor,
        at=at,
        judged="verdict" in payload,
    )
