"""``triune check``."""

from __future__ import annotations

import typer

from triune.cli.output import JSON_OPTION, here, print_json

app = typer.Typer(add_completion=False)


@app.command()
def check(as_json: bool = JSON_OPTION) -> None:
    """Validate triune.toml and the code it names, without running."""
    from triune.app import check as use_case

    sound = use_case.check(here())
    if as_json:
        print_json(sound)
        return
    typer.echo(
        f"{sound.workspace} is sound (profile {sound.profile}): {sound.datasets} datasets, "
        f"{sound.features} feature views, {sound.trainings} trainings, "
        f"{sound.endpoints} endpoints, {sound.entry_points} entry points."
    )
