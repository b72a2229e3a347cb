"""``triune down``: everything stopped, nothing left."""

from __future__ import annotations

import typer

from triune.cli.output import JSON_OPTION, here, print_json

app = typer.Typer(add_completion=False)


@app.command()
def down(*, as_json: bool = JSON_OPTION) -> None:
    """Stop every service of this workspace."""
    from triune.app import services
    from triune.app.context import Context
    from triune.cli.service_progress import ServiceProgress

    ctx = Context(here())
    try:
        with ServiceProgress(quiet=as_json) as progress:
            done = services.down(ctx, on_progress=progress)
    finally:
        ctx.close()
    if as_json:
        print_json(done)
        return
    for note in done.notes:
        typer.echo(f"note: {note}")
    count = len(done.stopped)
    typer.echo(f"{count} stopped; nothing is left." if count else "Nothing was running.")
