"""``triune loop``."""

from __future__ import annotations

import typer

from triune.cli.output import JSON_OPTION, here, print_json
from triune.core.errors import ExitCode

app = typer.Typer(add_completion=False)


@app.command()
def loop(
    keep_up: bool = typer.Option(False, "--keep-up", help="Leave the services running."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Run the whole loop, from raw data to a model that serves."""
    from rich.console import Console

    from triune.app.context import Context
    from triune.app.loop import flow
    from triune.cli.loop_display import LineDisplay, LiveDisplay, summarise

    console = Console(stderr=as_json)
    display = LiveDisplay(console) if console.is_terminal else LineDisplay(console)
    context = Context(here())
    try:
        with display.shown():
            result = flow.run(context, display, keep_up=keep_up)
    finally:
        context.close()
    if as_json:
        print_json(result)
    else:
        summarise(console, result, keep_up=keep_up)
    raise typer.Exit(int(ExitCode.OK if result.ok else ExitCode.CHECK_FAILED))
