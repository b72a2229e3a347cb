"""A flag's life in the ledger: every change an event with what was before and what is after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from triune.delivery.flags import definitions, document
from triune.delivery.flags.model import Flag
from triune.ledger.envelope import Event, event
from triune.ledger.ports import Stored

CHANGED = "flag.changed"


class Why(NamedTuple):
    """What is done (``set``, ``enable``, ...), for what reason, by whom (None: who runs this)."""

    action: str
    reason: str
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one flag.

    Attributes
    ----------
    number: 1 for the flag's first change, without gaps
    sequence: its place in the ledger, 0 before it is there
    action: what was done: ``set``, ``enable``, ``rollout``, ...
    before, after: the flag; None when there was none, or is none any more
    """

    key: str
    number: int
    action: str
    reason: str
    actor: str
    at: datetime
    before: Flag | None
    after: Flag | None
    sequence: int = 0


def subject(key: str) -> str:
    """``flag:<key>``."""
    return f"flag:{key}"


def told(
    key: str,
    number: int,
    before: Flag | None,
    after: Flag | None,
    *,
    why: Why,
    workspace: str,
) -> Event:
    """The event of a change. Its id is that of the flag's so many-th change: of two that are made
    at the same time the ledger keeps one."""
    return event(
        CHANGED,
        subject(key),
        workspace=workspace,
        actor=why.actor,
        identifier=str(uuid5(NAMESPACE_OID, f"{workspace}/{subject(key)}/{number}")),
        payload={
            "key": key,
            "number": number,
            "action": why.action,
            "reason": why.reason,
            "before": None if before is None else document.of_flag(before),
            "after": None if after is None else document.of_flag(after),
        },
    )


def of_event(stored: Stored) -> Change:
    """The change that an event tells of."""
    payload = stored.event.payload
    key = str(payload["key"])
    return Change(
        key=key,
        number=int(payload["number"]),
        action=str(payload["action"]),
        reason=str(payload["reason"]),
        actor=stored.event.actor,
        at=stored.event.at,
        before=_flag(key, payload["before"]),
        after=_flag(key, payload["after"]),
        sequence=stored.sequence,
    )


def _flag(key: str, raw: Mapping[str, Any] | None) -> Flag | None:
    """A flag of the ledger: it was without mistakes when it was stored."""
    if raw is None:
        return None
    return definitions.read({"flags": {key: raw}}, source=subject(key)).flags[key]
