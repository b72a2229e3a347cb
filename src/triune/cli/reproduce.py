"""``triune reproduce``: do a run again and say whether it comes out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from triune.cli.output import JSON_OPTION, here, print_json
from triune.core.errors import ExitCode

if TYPE_CHECKING:
    from triune.app.reproduce import Reproduced

app = typer.Typer(add_completion=False)

SHOWN_PACKAGES = 5


@app.command()
def reproduce(
    run: str = typer.Argument(help="The run: its id, or enough of it."),
    *,
    tolerance: float = typer.Option(
        0.0, "--tolerance", min=0.0, help="Largest relative difference that still passes."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Do a run again from its records and compare."""
    from triune.app import reproduce as use_case
    from triune.app.context import Context
    from triune.cli.run_progress import RunProgress
    from triune.models.reproduce import Verdict

    context = Context(here())
    try:
        with RunProgress("reproduce", quiet=as_json) as progress:
            done = use_case.reproduce(
                context, run, tolerance=tolerance, on_step=progress.say, on_progress=progress
            )
    finally:
        context.close()
    if as_json:
        print_json(done)
    else:
        _show(done)
    if done.verdict is Verdict.DIFFERENT:
        raise typer.Exit(int(ExitCode.CHECK_FAILED))


def _show(done: Reproduced) -> None:
    typer.echo(f"{done.run}: {done.verdict.value}")
    for compared in done.compared:
        typer.echo(f"  compared: {compared}")
    for finding in done.findings:
        typer.echo(f"  differs:  {finding.where}: {finding.what}")
    for note in done.notes:
        typer.echo(f"  note:     {note}")
    changed = done.environment
    if not changed:
        typer.echo("  environment: the same")
    else:
        named = ", ".join(f"{d.name} {d.before} -> {d.now}" for d in changed[:SHOWN_PACKAGES])
        typer.echo(f"  environment: {len(changed)} packages differ: {named}")
    typer.echo(f"  {done.seconds:.1f} s, of which training {done.rerun_seconds:.1f} s")
