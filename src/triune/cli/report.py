"""``triune report``: what happened, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from triune.cli.output import JSON_OPTION, here, print_json

if TYPE_CHECKING:
    from triune.app.context import Context
    from triune.app.report.facts import LoopFacts

app = typer.Typer(add_completion=False)


@app.command()
def report(
    endpoint: str = typer.Argument("", help="The endpoint; the loop's, or the only one."),
    *,
    out: Path = typer.Option(Path("report.html"), "--out", "-o", help="The file to write."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write report.html from the ledger."""
    from triune.app.context import Context
    from triune.app.report import build

    context = Context(here())
    try:
        loop = _last_loop(context)
        if loop and endpoint and context.workspace.config.loop:
            loop = loop if context.workspace.config.loop.endpoint == endpoint else None
        path = build(context, loop, out, endpoint=endpoint)
    finally:
        context.close()
    if as_json:
        print_json({"report": path.resolve(), "loop": loop.id if loop else None})
        return
    typer.echo(str(path))


def _last_loop(context: Context) -> LoopFacts | None:
    """The loop whose state is on disk, with the checks that its last event tells."""
    from triune.app.loop import model
    from triune.app.report import from_state
    from triune.ledger.ports import Query

    state = model.load(context.workspace.state / "loop.json")
    if state is None:
        return None
    query = Query(kind="loop.finished", subject=f"loop:{state.id}", newest_first=True, limit=1)
    told = next((stored.event.payload for stored in context.ledger.select(query)), {})
    return from_state(state, [model.Check(**check) for check in told.get("checks", [])])
