"""``triune up``: the services of the profile, started and ready."""

from __future__ import annotations

import typer

from triune.cli.output import JSON_OPTION, here, print_json

app = typer.Typer(add_completion=False)


@app.command()
def up(
    *,
    profile: str = typer.Option(
        "", "--profile", help="local or server; in force until the next `up` without it."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Start the profile's services and wait until each is ready."""
    from triune.app import services
    from triune.app.context import Context
    from triune.cli.service_progress import ServiceProgress
    from triune.core.config import Profile

    if profile and profile not in list(Profile):
        known = ", ".join(Profile)
        raise typer.BadParameter(f"{profile!r} is not one of: {known}", param_hint="--profile")
    ctx = Context(here())
    chosen = Profile(profile) if profile else None
    try:
        with ServiceProgress(quiet=as_json) as progress:
            done = services.up(ctx, profile=chosen, on_progress=progress)
    finally:
        ctx.close()
    if as_json:
        print_json(done)
        return
    for note in done.notes:
        typer.echo(f"note: {note}")
    ready = sum(status.ready for status in done.statuses)
    typer.echo(f"{ready} of {len(done.statuses)} ready; {len(done.started)} started just now.")
