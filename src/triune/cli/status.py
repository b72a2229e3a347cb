"""``triune status``: what runs and what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from triune.cli.output import JSON_OPTION, here, print_facts, print_json, print_table

if TYPE_CHECKING:
    from triune.app.status import Status

app = typer.Typer(add_completion=False)


@app.command()
def status(*, as_json: bool = JSON_OPTION) -> None:
    """Show services, endpoints and what serves them."""
    from triune.app import status as view
    from triune.app.context import Context

    now = view.status(Context(here()))
    if as_json:
        print_json(now)
        return
    _print_services(now)
    for e in now.endpoints:
        typer.echo()
        facts = {"phase": e.phase, "serves": e.release, "can go back to": e.previous, "url": e.url}
        print_facts(((name, value or "nothing") for name, value in facts.items()), title=e.endpoint)


def _print_services(now: Status) -> None:
    if now.leftovers:
        typer.echo(
            f"{now.workspace} ({now.profile}): the supervisor is gone; {now.leftovers} processes "
            "run on without it. `triune up` replaces them, `triune down` ends them."
        )
        return
    if not now.running:
        typer.echo(f"{now.workspace} ({now.profile}): nothing runs. Start it with `triune up`.")
        return
    typer.echo(f"{now.workspace} ({now.profile})")
    rows = [
        (
            line.process.name,
            line.process.state.value,
            "yes" if line.process.ready else "no",
            line.process.pid,
            _duration(line.process.uptime),
            line.process.restarts,
            _megabytes(line.process.rss),
            line.address,
        )
        for line in now.services
    ]
    columns = ("service", "state", "ready", "pid", "up for", "restarts", "memory", "address")
    print_table(columns, rows, first_out=("restarts", "pid", "up for", "memory"))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1_000_000:.0f} MB"
