"""``triune logs``: what services wrote."""

from __future__ import annotations

import typer

from triune.cli.output import JSON_OPTION, here, print_json, print_table, size

app = typer.Typer(add_completion=False)


@app.command()
def logs(
    *,
    name: str = typer.Argument("", help="Which service; without it, the names there are."),
    lines: int = typer.Option(50, "--lines", "-n", min=0, help="The last N lines."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on with each new line."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show or follow a service's log."""
    from triune.operations.services import logs as reading

    folder = here().logs
    if not name:
        rows = [(known, reading.size(folder / f"{known}.log")) for known in reading.names(folder)]
        if as_json:
            print_json([{"name": known, "bytes": size} for known, size in rows])
        else:
            sizes = [(known, size(length)) for known, length in rows]
            print_table(("log", "size"), sizes, empty="no log yet; `triune up` starts the services")
        return
    path = reading.find(folder, name)
    end = reading.size(path)
    shown = reading.tail(path, lines)
    if as_json:
        print_json({"name": name, "lines": shown})
        return
    for line in shown:
        typer.echo(line)
    if follow:
        for line in reading.follow(path, end):
            typer.echo(line)
