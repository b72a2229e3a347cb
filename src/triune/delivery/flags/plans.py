"""Changes that wait: for another person's approval, for their time, or for both.

A plan's life is events: made, approved (each person once), settled. Each event of a plan has the
plan's next step in its id, so that of two people who settle a plan at the same moment one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from triune.delivery.flags import changes, document, edits
from triune.delivery.flags.changes import Carried, Change, Why
from triune.delivery.flags.edits import Edit, Protect
from triune.delivery.flags.model import State
from triune.ledger.envelope import Event, event
from triune.ledger.ports import Stored

MADE = "flag_plan.made"
APPROVED = "flag_plan.approved"
SETTLED = "flag_plan.settled"
ALL = "flag_plan.*"


class Outcome(StrEnum):
    """How a plan ended."""

    DONE = "done"
    NOTHING = "nothing-to-do"
    REFUSED = "refused"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved, and when."""

    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """A change that waits.

    Attributes
    ----------
    id: ``<key>.<n>``, the flag's so many-th plan
    edit: what is to be done; ``before`` and ``after``: what it would have done when it was made
    needs: how many others must approve
    due: when it is carried out; None: as soon as it is approved
    steps: events of the plan so far, but its first
    outcome: None while it waits; ``words``: what is said of that, by ``settled_by``
    """

    id: str
    key: str
    number: int
    action: str
    reason: str
    actor: str
    made: datetime
    edit: Edit
    before: State
    after: State
    needs: int = 0
    due: datetime | None = None
    approvals: tuple[Approval, ...] = ()
    steps: int = 0
    outcome: Outcome | None = None
    words: str = ""
    settled_by: str = ""
    sequence: int = 0

    @property
    def waits(self) -> bool:
        """Whether somebody's approval is missing."""
        return self.outcome is None and len(self.approvals) < self.needs

    @property
    def why(self) -> Why:
        """What the change that carries it out tells."""
        approved_by = tuple(one.actor for one in self.approvals)
        carried = Carried(self.id, approved_by, self.due)
        return Why(self.action, self.reason, self.actor, carried=carried)

    def like(self, edit: Edit, before: State) -> bool:
        """Whether it waits, for nothing but approval, to do this on this state."""
        return self.waits and self.due is None and (self.edit, self.before) == (edit, before)

    def under(self, now: State) -> Plan:
        """The plan with the approvals that are needed by now, never fewer than at first."""
        return replace(self, needs=max(self.needs, now.approvals))


def made(
    key: str,
    number: int,
    edit: Edit,
    states: tuple[State, State],
    *,
    why: Why,
    due: datetime | None,
    workspace: str,
) -> Event:
    """The event of a new plan; ``states`` are before and after."""
    before, after = states
    name = f"{key}.{number}"
    return event(
        MADE,
        changes.subject(key),
        workspace=workspace,
        actor=why.actor,
        identifier=changes.identifier(workspace, f"flag-plan:{name}"),
        payload={
            "plan": name,
            "key": key,
            "number": number,
            "action": why.action,
            "reason": why.reason,
            "edit": msgspec.to_builtins(edit),
            "before": _plain(before),
            "after": _plain(after),
            "needs": before.approvals,
            "due": None if due is None else due.isoformat(),
        },
    )


def approved(plan: Plan, actor: str, at: datetime, workspace: str) -> Event:
    """The event of one more approval."""
    return _step(plan, APPROVED, {}, actor=actor, at=at, workspace=workspace)


def settled(
    plan: Plan, outcome: Outcome, words: str, *, actor: str, at: datetime, workspace: str
) -> Event:
    """The event that ends a plan."""
    payload = {"outcome": outcome.value, "words": words}
    return _step(plan, SETTLED, payload, actor=actor, at=at, workspace=workspace)


def _step(
    plan: Plan, kind: str, payload: Mapping[str, Any], *, actor: str, at: datetime, workspace: str
) -> Event:
    return event(
        kind,
        changes.subject(plan.key),
        workspace=workspace,
        actor=actor,
        at=at,
        identifier=changes.identifier(workspace, f"flag-plan:{plan.id}/{plan.steps + 1}"),
        payload={"plan": plan.id, "key": plan.key, **payload},
        causes=(changes.identifier(workspace, f"flag-plan:{plan.id}"),),
    )


@dataclass(frozen=True, slots=True)
class Plans:
    """All plans at a point of the ledger, in the order in which they were made."""

    by_id: Mapping[str, Plan] = field(default_factory=dict)
    sequence: int = 0

    def after(self, found: Iterable[Stored]) -> Plans:
        """The plans after these events, in the order of the log."""
        by_id, sequence = dict(self.by_id), self.sequence
        for stored in found:
            name, sequence = str(stored.event.payload["plan"]), stored.sequence
            known = by_id.get(name)
            by_id[name] = of_event(stored) if known is None else stepped(known, stored.event)
        return Plans(by_id, sequence)


def of_event(stored: Stored) -> Plan:
    """The plan that an event made."""
    payload, told = stored.event.payload, stored.event
    key, due = str(payload["key"]), payload["due"]
    return Plan(
        id=str(payload["plan"]),
        key=key,
        number=int(payload["number"]),
        action=str(payload["action"]),
        reason=str(payload["reason"]),
        actor=told.actor,
        made=told.at,
        edit=msgspec.convert(payload["edit"], Edit),
        before=_state(key, payload["before"]),
        after=_state(key, payload["after"]),
        needs=int(payload["needs"]),
        due=None if due is None else datetime.fromisoformat(due),
        sequence=stored.sequence,
    )


def stepped(plan: Plan, told: Event) -> Plan:
    """The plan after one more of its events."""
    if told.kind == APPROVED:
        approvals = (*plan.approvals, Approval(told.actor, told.at))
        return replace(plan, approvals=approvals, steps=plan.steps + 1)
    return replace(
        plan,
        steps=plan.steps + 1,
        outcome=Outcome(told.payload["outcome"]),
        words=str(told.payload["words"]),
        settled_by=told.actor,
    )


def outdated(plan: Plan, now: State, since: Sequence[Change]) -> str:
    """Why a plan does not hold any more; empty when it does. ``since``: the flag's changes after
    it was made.

    What is done at once when it is approved was approved for one state, and no other. What is
    done at its time gives way to what people did meanwhile, not to other schedules: if the plan
    needs approval, to any change, else to one of a field that it writes or builds on.
    """
    if plan.due is None:
        return _moved(plan, now)
    fields = frozenset(document.FIELDS) if plan.needs else edits.touched(plan.edit)
    for change in since:
        differing = fields.intersection(document.differing(change.before, change.after))
        if change.by_hand and differing:
            names = ", ".join(name for name in document.FIELDS if name in differing)
            return f"{change.actor} changed {names} meanwhile (change {change.number})"
    return ""


def _moved(plan: Plan, now: State) -> str:
    if isinstance(plan.edit, Protect):
        before, after = plan.before.approvals, now.approvals
        return "" if before == after else f"approvals {before} -> {after}"
    if plan.before.flag == now.flag:
        return ""
    return document.difference(plan.before.flag, now.flag)


def _plain(state: State) -> dict[str, Any]:
    flag = None if state.flag is None else document.of_flag(state.flag)
    return {"flag": flag, "approvals": state.approvals}


def _state(key: str, raw: Mapping[str, Any]) -> State:
    return State(document.flag_of(key, raw["flag"]), int(raw["approvals"]))
