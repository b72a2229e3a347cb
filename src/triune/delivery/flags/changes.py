"""A flag's life in the ledger: every change an event with what was before and what is after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from triune.delivery.flags import document
from triune.delivery.flags.model import Flag, State
from triune.ledger.envelope import Event, event
from triune.ledger.ports import Stored

CHANGED = "flag.changed"
LATE = timedelta(minutes=1)
"""What is carried out this much after its time is called late."""


class Carried(NamedTuple):
    """The plan that a change carries out: its id, who approved it, and when it was due."""

    plan: str
    approved_by: tuple[str, ...] = ()
    due: datetime | None = None


class Why(NamedTuple):
    """What is done (``set``, ``enable``, ...), for what reason, by whom (None: who runs this).

    ``forced``: a protected flag was changed without approval. ``carried``: by what plan.
    """

    action: str
    reason: str
    actor: str | None = None
    forced: bool = False
    carried: Carried | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one flag.

    Attributes
    ----------
    number: 1 for the flag's first change, without gaps
    sequence: its place in the ledger, 0 before it is there
    action: what was done: ``set``, ``enable``, ``rollout``, ...
    before, after: the flag; None when there was none, or is none any more
    approvals: how many people must approve the flag's next change
    forced: whether it went around an approval that was needed
    carried: the plan that it carries out, if any
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
    approvals: int = 0
    forced: bool = False
    carried: Carried | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a person made it at that moment, and no schedule."""
        return self.carried is None or self.carried.due is None

    @property
    def late(self) -> timedelta | None:
        """How long after its time it was carried out; None when that was in time."""
        due = None if self.carried is None else self.carried.due
        return self.at - due if due is not None and self.at - due >= LATE else None


def subject(key: str) -> str:
    """``flag:<key>``."""
    return f"flag:{key}"


def identifier(workspace: str, what: str) -> str:
    """The id of an event that may be there once: of two that are made at the same time the ledger
    keeps one."""
    return str(uuid5(NAMESPACE_OID, f"{workspace}/{what}"))


def told(
    key: str,
    number: int,
    before: State,
    after: State,
    *,
    why: Why,
    workspace: str,
    at: datetime | None = None,
) -> Event:
    """The event of a flag's so many-th change, made now unless told otherwise."""
    payload: dict[str, Any] = {
        "key": key,
        "number": number,
        "action": why.action,
        "reason": why.reason,
        "before": None if before.flag is None else document.of_flag(before.flag),
        "after": None if after.flag is None else document.of_flag(after.flag),
    }
    if after.approvals:
        payload["approvals"] = after.approvals
    if why.forced:
        payload["forced"] = True
    if why.carried is not None:
        payload["carried"] = _plain(why.carried)
    return event(
        CHANGED,
        subject(key),
        workspace=workspace,
        actor=why.actor,
        at=at,
        identifier=identifier(workspace, f"{subject(key)}/{number}"),
        payload=payload,
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
        before=document.flag_of(key, payload["before"]),
        after=document.flag_of(key, payload["after"]),
        sequence=stored.sequence,
        approvals=int(payload.get("approvals", 0)),
        forced=bool(payload.get("forced", False)),
        carried=_carried(payload.get("carried")),
    )


def _plain(carried: Carried) -> dict[str, Any]:
    due = None if carried.due is None else carried.due.isoformat()
    return {"plan": carried.plan, "approved_by": list(carried.approved_by), "due": due}


def _carried(raw: Any) -> Carried | None:
    if raw is None:
        return None
    due = None if raw["due"] is None else datetime.fromisoformat(raw["due"])
    return Carried(str(raw["plan"]), tuple(raw["approved_by"]), due)
