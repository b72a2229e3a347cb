"""``triune ledger``: the database below the ledger."""

from __future__ import annotations

from pathlib import Path

import typer

from triune.cli.output import JSON_OPTION, here, many, print_facts, print_json, print_table, size
from triune.core.errors import CheckFailed, Refused

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Migrate, verify and measure the ledger's database.",
)

YES = typer.Option(False, "--yes", help="Do it; what newer tables hold is lost.")
DRY_RUN = typer.Option(False, "--dry-run", help="Print the SQL and change nothing.")


def _place() -> tuple[str, Path]:
    from triune.app.context import Context

    workspace = here()
    return Context(workspace).addresses.ledger_url, workspace.journal


@app.command()
def info(as_json: bool = JSON_OPTION) -> None:
    """Show what the ledger holds, its schema's revision and its size."""
    from triune.ledger import maintenance

    found = maintenance.info(*_place())
    if as_json:
        print_json(found)
        return
    rows = [
        ("database", found.database),
        ("revision", f"{found.revision or 'none'} (newest {found.head})"),
        ("events", found.events),
        ("edges", found.edges),
        ("runs", found.runs),
        ("size", size(found.size)),
        ("journal", f"{size(found.waiting)} in {many(found.segments, 'segment')}"),
        ("set aside", ", ".join(found.damaged) or "none"),
    ]
    print_facts(rows)


@app.command()
def verify(as_json: bool = JSON_OPTION) -> None:
    """Check database, events, edges and journal; exit 8 if anything is wrong."""
    from triune.ledger import maintenance

    findings = list(maintenance.verify(*_place()))
    if as_json:
        print_json({"sound": not findings, "findings": findings})
    elif findings:
        print_table(("where", "what"), [(one.where, one.what) for one in findings], wrap=True)
    else:
        typer.echo("The ledger is sound.")
    if findings and not as_json:
        raise CheckFailed(
            "ledger-not-sound",
            f"{len(findings)} findings",
            hint="Restore the ledger from a backup if events are missing; else mend each finding.",
        )
    if findings:
        raise typer.Exit(int(CheckFailed.exit_code))


@app.command()
def upgrade() -> None:
    """Bring the tables up to date (every command does so when needed)."""
    from triune.ledger import maintenance

    before, after = maintenance.upgrade(_place()[0])
    if before == after:
        typer.echo(f"The ledger is at revision {after} already.")
    else:
        typer.echo(f"The ledger went from {before or 'nothing'} to revision {after}.")


@app.command()
def downgrade(
    revision: str = typer.Argument(help="The revision to go down to; `base` empties the ledger."),
    dry_run: bool = DRY_RUN,
    yes: bool = YES,
) -> None:
    """Bring the tables down to an older revision, for an older Triune."""
    from triune.ledger import maintenance

    url = _place()[0]
    start, statements = maintenance.plan_downgrade(url, revision)
    if dry_run:
        typer.echo(statements)
        return
    if not yes:
        raise Refused(
            "ledger-downgrade-unconfirmed",
            f"going from {start} down to {revision} loses what the newer tables hold",
            hint="Look with --dry-run, make a backup, then repeat with --yes.",
        )
    maintenance.downgrade(url, revision)
    typer.echo(f"The ledger went from {start} down to {revision}.")
