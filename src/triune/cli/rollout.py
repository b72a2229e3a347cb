"""``triune rollout``: what an endpoint serves, changed and changed back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.delivering import opened
from triune.cli.output import JSON_OPTION, print_facts, print_json, print_table, when

if TYPE_CHECKING:
    from triune.delivery.service import EndpointStatus, Plan
    from triune.delivery.state import EndpointState

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Change what an endpoint serves; roll it back.",
)

Observer = Callable[[str, str], None]


class Strategy(StrEnum):
    """How traffic moves."""

    BLUE_GREEN = "blue-green"


@app.command()
def start(
    *,
    endpoint: str = typer.Argument(..., help="An endpoint of triune.toml."),
    release: str = typer.Argument(..., help="A release's reference."),
    strategy: Strategy = typer.Option(Strategy.BLUE_GREEN, "--strategy", help="blue-green."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done, do nothing."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Start a release beside the live one, test it, and switch all traffic to it."""
    with opened() as delivery:
        if dry_run:
            _print_plan(delivery.plan(endpoint, release), as_json=as_json)
            return
        with _progress(quiet=as_json) as observe:
            done = delivery.start(endpoint, release, observe=observe)
    if as_json:
        value = _as_dict(done.state)
        print_json({**value, "seconds": round(done.seconds, 3), "smoke": done.smoke})
        return
    print_table(
        ("smoke test", "result", "seconds"),
        [(r.name, r.words or "passed", f"{r.seconds:.2f}") for r in done.smoke],
    )
    typer.echo(f"{endpoint} serves {release} after {done.seconds:.1f} s")


@app.command()
def status(
    *,
    endpoint: str = typer.Argument("", help="Only this endpoint."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what each endpoint serves and what is under way."""
    with opened() as delivery:
        found = delivery.status(endpoint or None)
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("no endpoint yet; add `[endpoints.<name>]` to triune.toml")
    for place, one in enumerate(found):
        if place:
            typer.echo()
        print_facts(_facts(one), title=one.endpoint)


@app.command()
def rollback(
    *,
    endpoint: str = typer.Argument(..., help="An endpoint of triune.toml."),
    reason: str = typer.Option(..., "--reason", help="Why; it is recorded."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Return an endpoint's traffic to its previous release."""
    with opened() as delivery, _progress(quiet=as_json) as observe:
        now = delivery.rollback(endpoint, reason, observe=observe)
    if as_json:
        print_json(_as_dict(now))
        return
    typer.echo(f"{endpoint} serves {now.live.release if now.live else 'nothing'} again")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Observer]:
    """A line for each step that has words, with a spinner while it lasts."""
    if quiet:
        yield lambda step, words: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with console.status("") as spinner:

        def observe(step: str, words: str) -> None:
            if words:
                console.print(f"[bold]{step:>12}[/] {words}", markup=True)
                spinner.update(f"{step} ...")

        yield observe


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    typer.echo(f"{plan.endpoint}: {plan.previous or 'nothing'} -> {plan.release}")
    for number, step in enumerate(plan.steps, 1):
        typer.echo(f"  {number}. {step}")
    if plan.changes:
        rows = [(c.key, c.before, c.after) for c in plan.changes]
        print_table(("setting", "now", "then"), rows, wrap=True)


def _as_dict(now: EndpointState) -> dict[str, Any]:
    import msgspec

    value: dict[str, Any] = msgspec.to_builtins(now)
    return {**value, "phase": now.phase.value}


def _facts(now: EndpointStatus) -> Iterator[tuple[str, object]]:
    yield "phase", f"{now.phase.value}: {now.sentence}"
    yield "serves", now.live.release if now.live else "nothing"
    if now.live:
        yield "ready", "yes" if now.ready else _not_ready(now.words)
    if now.previous:
        yield "kept", now.previous.release
    if now.rollback_until is not None:
        yield "kept until", when(now.rollback_until * 1e6)


def _not_ready(words: str) -> str:
    if words.startswith("no answer"):
        return "no: it does not answer; `triune up` starts it"
    return f"no: {words}"
