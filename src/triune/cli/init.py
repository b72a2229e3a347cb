"""``triune init``."""

from __future__ import annotations

from pathlib import Path

import typer

from triune.cli.output import JSON_OPTION, print_json

app = typer.Typer(add_completion=False)


@app.command()
def init(
    folder: Path = typer.Argument(Path(), help="Where to write it; made when missing."),
    name: str = typer.Option("", help="The workspace's name (default: the folder's)."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write a small working workspace."""
    from triune.app import scaffold

    created = scaffold.create(folder, name or None)
    if as_json:
        print_json(created)
        return
    typer.echo(
        f"Wrote the workspace {created.name} in {created.root} ({len(created.files)} files)."
    )
    typer.echo("Next: read its README.md, or run `triune up`.")
