"""``triune check``."""

from __future__ import annotations

import typer

from triune.cli.output import JSON_OPTION, here, many, print_json

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
        f"{sound.workspace} is sound (profile {sound.profile}): {many(sound.datasets, 'dataset')}, "
        f"{many(sound.features, 'feature view')}, {many(sound.trainings, 'training')}, "
        f"{many(sound.endpoints, 'endpoint')}, {many(sound.entry_points, 'entry point')}."
    )
