"""Past rollouts as the ledger tells them: what was begun, how it ended, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

UNDER_WAY = "under way"
STARTED = "rollout.started"
_NEVER = "never-begun"

Select = Callable[[Query], Iterator[Stored]]


@dataclass(frozen=True, slots=True)
class Past:
    """One rollout; times in microseconds since 1970.

    ``looks`` and ``exposed`` are None while it is not known: the rollout is under way, or a
    later one has taken its place before it was counted. ``ended_by`` is who or what decided.
    """

    rollout: str
    endpoint: str
    release: str
    previous: str | None
    strategy: str
    started: int
    actor: str
    ended: int | None = None
    outcome: str = UNDER_WAY
    ended_by: str = ""
    why: str = ""
    looks: int | None = None
    exposed: int | None = None


def past(select: Select, endpoint: str | None = None) -> list[Past]:
    """Every rollout, or those of one endpoint; the newest first."""
    stored = sorted(
        (one for kind in (STARTED, *_FOLDS) for one in select(Query(kind=kind))),
        key=lambda one: one.sequence,
    )
    found = told(one.event for one in stored)
    return [one for one in found[::-1] if endpoint in (None, one.endpoint)]


def explained(select: Select, one: Past) -> Past:
    """With the reason of a promotion that no person asked for: that of its last look."""
    if one.outcome != "promoted" or one.why:
        return one
    query = Query(
        kind="rollout.looked",
        subject=one.release,
        since=one.started,
        until=one.ended,
        newest_first=True,
        limit=1,
    )
    for stored in select(query):
        if stored.event.payload["rollout"] == one.rollout:
            return replace(one, why=stored.event.payload["reason"])
    return one


def told(events: Iterable[Event]) -> list[Past]:
    """What events say of rollouts, in the order in which these began. Pure."""
    found: dict[str, Past] = {}
    for event in events:
        rollout = str(event.payload.get("rollout"))
        if event.kind == STARTED:
            found.setdefault(rollout, _begun(event, rollout))
        elif rollout in found:
            found[rollout] = _after(found[rollout], event)
    return list(found.values())


def _begun(event: Event, rollout: str) -> Past:
    return Past(
        rollout=rollout,
        endpoint=event.payload["endpoint"],
        release=event.subject,
        previous=event.payload.get("previous"),
        strategy=event.payload.get("strategy", ""),
        started=event.time,
        actor=event.actor,
    )


def _after(one: Past, event: Event) -> Past:
    return _FOLDS[event.kind](one, event)


def _gated(one: Past, event: Event) -> Past:
    """Only a promotion that a person asked for says why a rollout ended."""
    if event.payload["gate"] != "promote":
        return one
    return replace(one, ended_by=event.actor, why=event.payload["reason"])


def _refused(one: Past, event: Event) -> Past:
    return _ended(one, event, "refused", _failed(event.payload))


def _switched(one: Past, event: Event) -> Past:
    ended = _ended(one, event, "promoted", one.why)
    return replace(ended, ended_by=one.ended_by or event.actor)


def _rolled_back(one: Past, event: Event) -> Past:
    outcome = event.payload.get("outcome", "rolled-back")
    return _ended(one, event, outcome, _reason(event.payload))


def _finished(one: Past, event: Event) -> Past:
    payload = event.payload
    counted = replace(one, looks=payload.get("looks"), exposed=payload.get("exposed"))
    if one.outcome != UNDER_WAY:
        return counted
    return _ended(counted, event, payload.get("outcome", _NEVER), "")


_FOLDS: Mapping[str, Callable[[Past, Event], Past]] = {
    "rollout.gated": _gated,
    "rollout.refused": _refused,
    "rollout.switched": _switched,
    "rollout.rolled-back": _rolled_back,
    "rollout.finished": _finished,
}


def _ended(one: Past, event: Event, outcome: str, why: str) -> Past:
    return replace(one, ended=event.time, outcome=outcome, ended_by=event.actor, why=why)


def _failed(payload: Mapping[str, Any]) -> str:
    test, words = payload.get("test", ""), payload.get("words", "")
    return str(words) if test == "aborted" else f"{test}: {words}"


def _reason(payload: Mapping[str, Any]) -> str:
    return str(payload.get("reason") or payload.get("words") or "")
