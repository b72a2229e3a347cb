"""``triune rollout``: what an endpoint serves, changed and changed back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from triune.cli import rollout_gates as gates
from triune.cli.output import (
    JSON_OPTION,
    here,
    print_facts,
    print_json,
    print_table,
    screen,
    when,
)
from triune.cli.rollout_gates import DRY_RUN, ENDPOINT
from triune.core.rollout_config import Strategy

if TYPE_CHECKING:
    from triune.app.context import Context
    from triune.delivery.rollout.model import Ticket
    from triune.delivery.rollout.view import RolloutView
    from triune.delivery.service import EndpointStatus

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Change what an endpoint serves, step by step; watch it, steer it, go back.",
)

ONLY = typer.Argument("", help="Only this endpoint.")
STRATEGY = typer.Option(
    None, "--strategy", help="canary, blue-green or shadow (default: what triune.toml says)."
)


@app.command()
def start(
    *,
    endpoint: str = ENDPOINT,
    release: str = typer.Argument(..., help="A release's reference."),
    strategy: Strategy | None = STRATEGY,
    wait: bool | None = typer.Option(
        None,
        "--wait/--no-wait",
        help="Follow it to its end, or not with --no-wait (default: follow blue-green only).",
    ),
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON_OPTION,
) -> None:
    """Start a release beside the live one, test it, and bring it to users by its strategy."""
    from triune.app.context import Context

    with closing(Context(here())) as context:
        if dry_run:
            _dry_run(context, endpoint, release, strategy, as_json=as_json)
            return
        chosen = context.rollouts.definition(endpoint, strategy).strategy
        ticket = context.rollouts.start(endpoint, release, strategy=strategy)
        follow = chosen is Strategy.BLUE_GREEN if wait is None else wait
        if follow:
            _follow(context, ticket, as_json=as_json)
        else:
            _accepted(context, ticket, as_json=as_json)


def _dry_run(
    context: Context, endpoint: str, release: str, strategy: Strategy | None, *, as_json: bool
) -> None:
    from triune.cli.rollout_plan import show_dry_run
    from triune.delivery.rollout.conductor import check_free
    from triune.delivery.state import check_new

    now = context.delivery.tools.store.load(endpoint)
    plan = context.delivery.plan(endpoint, release)
    check_free(now)
    check_new(now, plan.release)
    definition = context.rollouts.definition(endpoint, strategy)
    canary = definition.strategy is Strategy.CANARY and now.live is not None
    expected = context.rollouts.plan(endpoint, strategy=strategy) if canary else None
    show_dry_run(plan, definition, expected, as_json=as_json)


def _accepted(context: Context, ticket: Ticket, *, as_json: bool) -> None:
    from triune.cli.rollout_standstill import undriven
    from triune.cli.rollout_view import as_dict
    from triune.cli.rollout_words import sentence

    view = context.rollouts.view(ticket.endpoint, ticket.rollout)
    if as_json:
        print_json(as_dict(view))
        return
    typer.echo(f"{view.endpoint}: the {view.strategy.value} of {view.release} has begun")
    trouble = undriven(context)
    if trouble:
        typer.secho(f"! {sentence(trouble)}", fg="yellow")
    typer.echo(f"next: triune rollout watch {view.endpoint}")
    typer.echo(f'      triune rollout abort {view.endpoint} --reason "..."')


def _follow(context: Context, ticket: Ticket, *, as_json: bool) -> None:
    from triune.cli.rollout_follow import Following, check_ended, smoked
    from triune.cli.rollout_standstill import Standstill, undriven
    from triune.cli.rollout_view import as_dict, outcome

    begun = time.monotonic()
    try:
        standstill = Standstill(lambda: undriven(context))
        with Following(standstill, quiet=as_json) as following:
            view = context.rollouts.follow(ticket, following)
    except KeyboardInterrupt:
        typer.echo(
            f"the rollout goes on without this command: `triune rollout watch {ticket.endpoint}`, "
            f"`triune rollout abort {ticket.endpoint}`",
            err=True,
        )
        raise
    seconds = time.monotonic() - begun
    smoke = smoked(context, view)
    if not as_json:
        rows = [(r["name"], r["words"] or ("passed" if r["passed"] else "failed")) for r in smoke]
        print_table(("smoke test", "result"), rows) if rows else None
    check_ended(context, view)
    if as_json:
        print_json({**as_dict(view), "seconds": round(seconds, 3), "smoke": smoke})
    elif view.outcome == "promoted":
        typer.echo(f"{view.endpoint} serves {view.release} after {seconds:.1f} s")
    else:
        typer.echo(outcome(view))


@app.command()
def status(*, endpoint: str = ONLY, as_json: bool = JSON_OPTION) -> None:
    """Show what each endpoint serves and what is under way."""
    from triune.app.standing import standing

    found = standing(here(), endpoint)
    if as_json:
        print_json([_standing_as_dict(one.status, one.rollout) for one in found])
        return
    if not found:
        typer.echo("no endpoint yet; add `[endpoints.<name>]` to triune.toml")
    for place, one in enumerate(found):
        if place:
            typer.echo()
        print_facts(_facts(one.status, one.rollout), title=one.status.endpoint)


@app.command()
def watch(
    *,
    endpoint: str = ENDPOINT,
    once: bool = typer.Option(False, "--once", help="Show how it stands now, and end."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Watch a rollout until it is over: share, evidence, errors of both arms, decisions."""
    from triune.app.context import Context
    from triune.cli import rollout_watch
    from triune.cli.rollout_looks import Looks
    from triune.cli.rollout_standstill import Standstill, undriven
    from triune.cli.rollout_view import as_dict

    with closing(Context(here())) as context:
        rollouts = context.rollouts
        view = rollouts.view(endpoint)
        looks = Looks(context.ledger.select, view)
        console, standstill = screen(), Standstill(lambda: undriven(context))

        def ask() -> RolloutView:
            return rollouts.view(endpoint, view.rollout)

        if once and as_json:
            print_json(as_dict(view))
        elif once:
            rollout_watch.show_once(view, looks)
        elif as_json:
            rollout_watch.watch_json(ask, looks, typer.echo)
        elif console.is_terminal:
            rollout_watch.watch_live(ask, looks, console, standstill)
        else:
            rollout_watch.watch_lines(ask, looks, typer.echo, standstill)


@app.command()
def explain(*, endpoint: str = ENDPOINT, as_json: bool = JSON_OPTION) -> None:
    """Say in words what happened in a rollout, or stands, and show the evidence."""
    from triune.app.context import Context
    from triune.cli import rollout_explain
    from triune.cli.rollout_looks import Looks

    with closing(Context(here())) as context:
        sentences = context.rollouts.explain(endpoint)
        view = context.rollouts.view(endpoint)
        looks = Looks(context.ledger.select, view).new()
    if as_json:
        print_json(rollout_explain.as_dict(view, sentences, looks))
    else:
        rollout_explain.show(view, sentences, looks)


@app.command()
def plan(
    *,
    endpoint: str = ENDPOINT,
    strategy: Strategy | None = STRATEGY,
    before: str = typer.Option("", "--from", help="The error rate now: 1% or 0.01."),
    after: str = typer.Option("", "--to", help="The error rate to be seen: 2% or 0.02."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Say what a rollout would take at the present traffic, and how soon it would see harm."""
    from triune.app.context import Context
    from triune.cli import rollout_plan

    p0, p1 = rollout_plan.rates(before, after)
    with closing(Context(here())) as context:
        found = context.rollouts.plan(endpoint, strategy=strategy, from_rate=p0, to_rate=p1)
    rollout_plan.show(found, as_json=as_json)


for command in (gates.pause, gates.resume, gates.promote, gates.abort, gates.rollback):
    app.command()(command)


@app.command()
def history(
    *,
    endpoint: str = ONLY,
    limit: int = typer.Option(20, "--limit", "-n", min=0, help="The newest N; 0 for all."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List past rollouts, the newest first: how each ended, and why."""
    from triune.app.context import Context
    from triune.cli.rollout_history import explained, past

    with closing(Context(here())) as context:
        found = past(context.ledger.select, endpoint or None)
        shown = [explained(context.ledger.select, one) for one in found[: limit or None]]
        if not found and endpoint:
            from triune.delivery.releases import settings

            settings(context.workspace, endpoint)
    if as_json:
        print_json(shown)
        return
    print_table(
        ("began", "endpoint", "release", "strategy", "outcome", "looks", "exposed", "by", "why"),
        [
            (
                when(one.started), one.endpoint, one.release, one.strategy, one.outcome,
                one.looks, one.exposed, one.actor, one.why,
            )
            for one in shown
        ],
        keep=3,
        first_out=("looks", "exposed", "strategy", "by"),
        empty="no rollout yet; `triune rollout start ENDPOINT RELEASE` begins one",
    )  # fmt: skip


def _standing_as_dict(now: EndpointStatus, rollout: RolloutView | None) -> dict[str, object]:
    import dataclasses

    from triune.cli.rollout_view import as_dict

    return {**dataclasses.asdict(now), "rollout": as_dict(rollout) if rollout else None}


def _facts(now: EndpointStatus, rollout: RolloutView | None) -> Iterator[tuple[str, object]]:
    yield "phase", f"{now.phase.value}: {now.sentence}"
    yield "serves", now.live.release if now.live else "nothing"
    if now.live:
        yield "ready", "yes" if now.ready else _not_ready(now.words)
    if now.previous:
        yield "kept", now.previous.release
    if now.rollback_until is not None:
        yield "kept until", when(now.rollback_until * 1e6)
    if rollout is not None:
        from triune.cli.rollout_view import facts

        yield from (fact for fact in facts(rollout, time.time()) if fact[0] != "phase")


def _not_ready(words: str) -> str:
    if words.startswith("no answer"):
        return "no: it does not answer; `triune up` starts it"
    return f"no: {words}"
