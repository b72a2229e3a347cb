"""Changes and plans of flags, in words and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from triune.cli.output import many, print_json, when

if TYPE_CHECKING:
    from triune.delivery.flags.changes import Change
    from triune.delivery.flags.model import Flag
    from triune.delivery.flags.plans import Plan
    from triune.delivery.flags.service import Done

KEY = typer.Argument(help="The flag.")
REASON = typer.Option(..., "--reason", "-m", help="Why, in a few words; kept with the change.")


def show(done: Done, as_json: bool) -> None:
    """What a command did, or what waits now."""
    from triune.delivery.flags.plans import Plan

    if as_json:
        print_json(None if done is None else plain(done))
    elif done is None:
        typer.echo("it is so already")
    elif isinstance(done, Plan):
        typer.echo(f"{done.id}: {difference(done)} ({waiting(done)})")
    else:
        typer.echo(f"{done.key}: {difference(done)} (change {done.number})")


def waiting(plan: Plan) -> str:
    """What an open plan waits for."""
    due = f"due {when(plan.due)}" if plan.due else ""
    if not plan.waits:
        return due or "approved"
    missing = plan.needs - len(plan.approvals)
    people = "somebody else" if missing == 1 else f"{missing} others"
    return f"{due}; {people} must approve first".removeprefix("; ")


def states(done: Change | Plan) -> tuple[Flag | None, Flag | None]:
    """The flag before and after."""
    from triune.delivery.flags.plans import Plan

    if isinstance(done, Plan):
        return done.before.flag, done.after.flag
    return done.before, done.after


def difference(done: Change | Plan) -> str:
    """What is different afterwards, in a line."""
    from triune.delivery.flags import document
    from triune.delivery.flags.plans import Plan

    before, after = states(done)
    if done.action == "protect":
        needed = done.after.approvals if isinstance(done, Plan) else done.approvals
        return f"changes take {many(needed, 'approval')}"
    return document.difference(before, after) or "as it is now"


def action(change: Change) -> str:
    """What was done, and in what way."""
    from triune.delivery.flags.planning import lateness

    how = []
    if change.forced:
        how.append("forced past approval")
    if change.carried is not None and change.carried.due is not None:
        how.append(f"scheduled for {when(change.carried.due)}")
    if change.late is not None:
        how.append(lateness(change.late))
    return f"{change.action} ({', '.join(how)})" if how else change.action


def approved_by(done: Change | Plan) -> str:
    """Who approved it."""
    from triune.delivery.flags.plans import Plan

    if isinstance(done, Plan):
        return ", ".join(one.actor for one in done.approvals)
    return ", ".join(done.carried.approved_by) if done.carried else ""


def plain(done: Change | Plan) -> dict[str, Any]:
    """As JSON: what has a ``plan`` and no ``number`` waits."""
    from triune.delivery.flags.plans import Plan

    return _of_plan(done) if isinstance(done, Plan) else _of_change(done)


def _of_change(change: Change) -> dict[str, Any]:
    made: dict[str, Any] = {
        "key": change.key,
        "number": change.number,
        "action": change.action,
        "reason": change.reason,
        "actor": change.actor,
        "at": change.at,
        "before": _flag(change.before),
        "after": _flag(change.after),
        "approvals": change.approvals,
        "forced": change.forced,
        "late_seconds": change.late.total_seconds() if change.late else 0.0,
    }
    if change.carried is not None:
        made["carried"] = change.carried._asdict()
    return made


def _of_plan(plan: Plan) -> dict[str, Any]:
    return {
        "plan": plan.id,
        "key": plan.key,
        "action": plan.action,
        "reason": plan.reason,
        "actor": plan.actor,
        "made": plan.made,
        "due": plan.due,
        "needs": plan.needs,
        "approved_by": [one.actor for one in plan.approvals],
        "before": _flag(plan.before.flag),
        "after": _flag(plan.after.flag),
        "approvals": plan.after.approvals,
        "outcome": plan.outcome,
        "words": plan.words,
        "settled_by": plan.settled_by,
    }


def _flag(flag: Flag | None) -> dict[str, Any] | None:
    from triune.delivery.flags.document import of_flag

    return None if flag is None else of_flag(flag)
