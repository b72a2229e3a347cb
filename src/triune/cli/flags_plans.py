"""The commands for changes of flags that wait: for approval, or for their time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from triune.cli.flags_words import KEY, REASON, approved_by, difference, plain, show
from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, print_json, print_table, when

if TYPE_CHECKING:
    from triune.delivery.flags.plans import Plan

PLAN = typer.Argument(help="The plan, as `proposals` and `scheduled` name it.", metavar="ID")
EVERY = typer.Option(False, "--all", help="Also those that are settled.")


def protect(
    key: str = KEY,
    *,
    approvals: int = typer.Option(
        1, "--approvals", min=0, help="How many other people must approve a change; 0: none."
    ),
    reason: str = REASON,
    as_json: bool = JSON_OPTION,
) -> None:
    """Let every change of a flag need approval; so does a change of that."""
    with opened() as context:
        show(context.flags.protect(key, approvals, reason), as_json)


def proposals(*, every: bool = EVERY, as_json: bool = JSON_OPTION) -> None:
    """List the changes that wait for somebody's approval."""
    with opened() as context:
        found = context.flag_plans.all() if every else context.flag_plans.waiting()
    found = [one for one in found if one.needs]
    _list(found, as_json, empty="no change waits for approval", every=every)


def approve(plan: str = PLAN, *, as_json: bool = JSON_OPTION) -> None:
    """Approve somebody else's change; with the last approval it is made, or has its time."""
    with opened() as context:
        show(context.flag_plans.approve(plan), as_json)


def reject(plan: str = PLAN, *, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """Turn a change down, also one's own."""
    with opened() as context:
        _settled(context.flag_plans.reject(plan, reason), as_json)


def scheduled(*, every: bool = EVERY, as_json: bool = JSON_OPTION) -> None:
    """List the changes that wait for their time, the next one first."""
    with opened() as context:
        known = context.flag_plans
        found = [one for one in known.all() if one.due] if every else known.scheduled()
    _list(found, as_json, empty="no change is scheduled", every=every)


def unschedule(plan: str = PLAN, *, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """Take a change back before its time."""
    with opened() as context:
        _settled(context.flag_plans.withdraw(plan, reason), as_json)


def _settled(plan: Plan, as_json: bool) -> None:
    if as_json:
        print_json(plain(plan))
    else:
        typer.echo(f"{plan.id}: {plan.outcome}")


def _list(found: Sequence[Plan], as_json: bool, *, empty: str, every: bool) -> None:
    if as_json:
        print_json([plain(one) for one in found])
        return
    columns = ("plan", "due", "by", "what", "why", "approved by", "state", "difference")
    rows = [
        (
            one.id, when(one.due) if one.due else "", one.actor, one.action, one.reason,
            approved_by(one), _state(one), difference(one),
        )
        for one in found
    ]  # fmt: skip
    print_table(columns, rows, first_out=("why", "approved by"), empty=empty)
    if not every and any(_overdue(one) for one in found):
        typer.echo("what is due is done by the guard: `triune up`, `triune logs guard`")


def _state(plan: Plan) -> str:
    if plan.outcome is not None:
        return f"{plan.outcome}: {plan.words}" if plan.words else plan.outcome
    if plan.waits:
        return f"{len(plan.approvals)} of {plan.needs} approved"
    return "overdue" if _overdue(plan) else "waits for its time"


def _overdue(plan: Plan) -> bool:
    from triune.delivery.flags.changes import LATE

    return plan.due is not None and datetime.now(UTC) - plan.due >= LATE
