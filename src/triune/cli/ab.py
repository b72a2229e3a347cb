"""``triune ab``: A/B tests between variants of a flag, or releases of an endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, print_json, print_table, when
from triune.core.abtest_config import Better, Kind, Promotion

if TYPE_CHECKING:
    from triune.delivery.abtest.model import Declaration
    from triune.delivery.abtest.service import ABTests

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="A/B tests: plan, start, look at, stop, decide.",
)

NAME = typer.Argument(help="The test.")
TARGET = typer.Argument(help="A test of triune.toml, an endpoint, or a flag.")
CONTROL = typer.Option("", "--a", help="Control: a version of the endpoint's model, or a variant.")
CANDIDATE = typer.Option("", "--b", help="What is compared with it.")
CALLED = typer.Option("", "--name", help="The test's name (default: of its target and arms).")
PERCENT = typer.Option(50.0, "--percent", min=0.01, max=99.99, help="Of the units, for --b.")
OUTCOME = typer.Option("", "--outcome", help="The outcome that is compared.")
KIND = typer.Option(Kind.PROPORTION, "--kind", help="Of a flag's test: what is compared of it.")
BETTER = typer.Option(Better.HIGHER, "--better", help="Of a flag's test: which way is good.")
UNITS = typer.Option(0, "--units", min=0, help="Units planned for each arm.")
DAYS = typer.Option(-1.0, "--days", min=-1.0, help="Days it lasts at least.")
ALPHA = typer.Option(0.0, "--alpha", min=0.0, max=0.5, help="Chance of a false winner.")
REASON = typer.Option("", "--reason", "-m", help="Why, in a few words; kept with the event.")


@app.command()
def plan(
    target: str = TARGET,
    *,
    a: str = CONTROL,
    b: str = CANDIDATE,
    name: str = CALLED,
    percent: float = PERCENT,
    outcome: str = OUTCOME,
    kind: Kind = KIND,
    better: Better = BETTER,
    units: int = UNITS,
    days: float = DAYS,
    alpha: float = ALPHA,
    effect: float = typer.Option(
        0.0, "--effect", min=0.0, help="Smallest relative effect worth knowing, e.g. 0.02."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Say how many units and days a test needs at the present traffic, before it starts."""
    from triune.cli import ab_targets, ab_view

    words = ab_targets.Words(
        target, a, b, name, percent, outcome, kind, better, units, days, alpha, effect
    )
    with opened() as context:
        declared = ab_targets.declared(context, words)
        ab_view.show_plan(context.abtests.plan(declared.declaration), as_json=as_json)


@app.command()
def start(
    target: str = TARGET,
    *,
    a: str = CONTROL,
    b: str = CANDIDATE,
    name: str = CALLED,
    percent: float = PERCENT,
    outcome: str = OUTCOME,
    kind: Kind = KIND,
    better: Better = BETTER,
    units: int = UNITS,
    days: float = DAYS,
    alpha: float = ALPHA,
    promote: Promotion | None = typer.Option(
        None, "--promote", help="A winner is promoted (automatic), or a person is asked (ask)."
    ),
    reason: str = REASON,
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say whether it could start."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Start a test: `start flights/delay --a 3 --b 4`, or one that triune.toml declares."""
    from triune.cli import ab_targets, ab_view

    words = ab_targets.Words(target, a, b, name, percent, outcome, kind, better, units, days, alpha)
    with opened() as context:
        found = ab_targets.declared(context, words)
        declaration, tests = found.declaration, context.abtests
        if dry_run:
            tests.check(declaration)
            ab_view.show_declared(declaration, as_json=as_json)
            return
        run = tests.start(
            declaration,
            reason or declaration.hypothesis,
            promotion=promote or found.promotion,
        )
        ab_view.show_started(run, as_json=as_json)


@app.command()
def status(
    name: str = NAME,
    *,
    exact: bool = typer.Option(
        False, "--exact", help="Compute everything anew from the ledger, and compare."
    ),
    segments: bool = typer.Option(False, "--segments", help="Every metric in every segment."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show a test as it stands: units, metrics, what follows, and what is wrong."""
    from triune.app.abtests import in_segments
    from triune.cli import ab_view

    with _tests() as tests:
        standing = tests.status(name)
        compared = tests.compare(standing) if exact else None
    found = in_segments(standing) if segments else None
    ab_view.show(standing, compared, found, as_json=as_json)


@app.command()
def stop(name: str = NAME, *, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """End the exposure: everybody gets what was before. Outcomes still count."""
    from triune.cli import ab_view

    with _tests() as tests:
        ab_view.show_ended(tests.stop(name, reason), as_json=as_json)


@app.command()
def decide(
    name: str = NAME,
    *,
    winner: str = typer.Option("", "--winner", help="A person's decision: this variant."),
    no_winner: bool = typer.Option(False, "--no-winner", help="A person's decision: none."),
    reason: str = REASON,
    as_json: bool = JSON_OPTION,
) -> None:
    """End a test by its evidence, or by a person; a winner becomes what everybody gets."""
    from triune.cli import ab_view

    if winner and no_winner:
        raise typer.BadParameter("say either of --winner and --no-winner", param_hint="--winner")
    chosen = "" if no_winner else winner or None
    with _tests() as tests:
        ab_view.show_ended(tests.decide(name, reason, winner=chosen), as_json=as_json)


@app.command()
def report(
    name: str = NAME,
    *,
    out: Path | None = typer.Option(
        None, "--out", help="Default: `ab-<name>.html`; a notebook where it ends in `.ipynb`."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write a test as an HTML page or a notebook: effect over time, units, metrics."""
    from triune.app.abtests import write_report

    with opened() as context:
        path = write_report(context, name, out or Path(f"ab-{name}.html"))
    if as_json:
        print_json({"test": name, "report": path})
    else:
        typer.echo(str(path))


@app.command()
def replay(
    target: str = TARGET,
    *,
    a: str = CONTROL,
    b: str = CANDIDATE,
    name: str = CALLED,
    percent: float = PERCENT,
    outcome: str = OUTCOME,
    kind: Kind = KIND,
    better: Better = BETTER,
    units: int = UNITS,
    days: float = DAYS,
    alpha: float = ALPHA,
    since: str = typer.Option("7d", "--since", help="Logged traffic from here: 7d, an ISO time."),
    until: str = typer.Option("", "--until", help="Until here; default: now."),
    points: int = typer.Option(10, "--points", min=1, max=1000, help="How often it looks."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Dry run on logged traffic: split its units as the test would, though none saw it. No variant
    should win."""
    from triune.cli import ab_targets, ab_view
    from triune.cli.moments import moment
    from triune.ledger.envelope import microseconds

    words = ab_targets.Words(target, a, b, name, percent, outcome, kind, better, units, days, alpha)
    start, end = moment(since) or 0, moment(until) or microseconds(datetime.now(UTC))
    if start >= end:
        raise typer.BadParameter("is not before --until", param_hint="--since")
    with opened() as context:
        declaration = ab_targets.declared(context, words).declaration
        looks = context.abtests.replay(declaration, start, end, points=points)
    ab_view.show_looks(declaration, looks, as_json=as_json)


@app.command("list")
def list_tests(*, as_json: bool = JSON_OPTION) -> None:
    """List the tests: those that triune.toml declares, and those that ran."""
    from triune.app import abtests

    with opened() as context:
        known = {run.name: run for run in abtests.register(context).runs().all}
        declared = abtests.declared(context.workspace)
    rows = [
        (run.name, run.stage.value, _compared(run.declaration), when(run.started), run.winner or "")
        for run in known.values()
    ]
    rows += [
        (name, "declared", _compared(one.declaration), "", "")
        for name, one in declared.items()
        if name not in known
    ]
    columns = ("test", "stage", "compares", "started", "winner")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in sorted(rows)])
        return
    empty = "there are no tests; `triune ab start ENDPOINT --a 3 --b 4` starts one"
    print_table(columns, sorted(rows), empty=empty)


@app.command()
def history(
    name: str = typer.Argument("", help="Only this test."), *, as_json: bool = JSON_OPTION
) -> None:
    """List what was started, stopped and decided, the newest first: who, when, why."""
    from triune.app import abtests
    from triune.cli import ab_view

    with opened() as context:
        runs = abtests.register(context).runs()
    if name:
        runs.find(name)
    found = [run for run in runs.all if name in ("", run.name)]
    ab_view.show_history(found[::-1], as_json=as_json)


@contextmanager
def _tests() -> Iterator[ABTests]:
    with opened() as context:
        yield context.abtests


def _compared(declaration: Declaration) -> str:
    from triune.cli.ab_view import compared

    return compared(declaration)
