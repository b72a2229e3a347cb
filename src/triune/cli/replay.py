"""``triune replay``: recorded traffic, sent as if it were live."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import typer

from triune.cli.output import JSON_OPTION, here, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from triune.app.replay.model import Summary

app = typer.Typer(add_completion=False)


@app.command()
def replay(
    endpoint: str = typer.Argument(help="The endpoint, e.g. flights/delay."),
    *,
    rate: float = typer.Option(200.0, "--rate", min=0.1, help="Requests a second."),
    seconds: float | None = typer.Option(
        None, "--seconds", min=0, help="End after this; without it, on Ctrl-C or SIGTERM."
    ),
    hour_seconds: float = typer.Option(
        1.0, "--hour-seconds", min=0, help="Seconds that an hour takes until an outcome is known."
    ),
    url: str | None = typer.Option(
        None, "--url", help="Send there instead of through the gateway."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Send recorded traffic to an endpoint, with its outcomes."""
    from triune.app.context import Context
    from triune.app.replay.service import Settings
    from triune.app.replay.service import replay as run

    context = Context(here())

    def stop_on_signal(stop: asyncio.Event) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

    settings = Settings(rate=rate, seconds=seconds, hour_seconds=hour_seconds, url=url)
    try:
        if as_json:
            print_json(_as_dict(run(context, endpoint, settings, prepare=stop_on_signal)))
            return
        from rich.console import Console
        from rich.live import Live

        console = Console()
        with Live(console=console, refresh_per_second=4) as live:

            def show(now: Summary) -> None:
                live.update(_panel(now))

            summary = run(context, endpoint, settings, on_progress=show, prepare=stop_on_signal)
            live.update(_panel(summary))
        console.print(f"records: {summary.records}", soft_wrap=True)
    finally:
        context.close()


def _as_dict(summary: Summary) -> dict[str, object]:
    import msgspec

    return {**msgspec.to_builtins(summary), "in_flight": summary.in_flight}


def _panel(now: Summary) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("traffic of", now.at[:16].replace("T", " ") or "loading")
    table.add_row("sent", f"{now.sent}, {now.in_flight} in flight")
    table.add_row("answered", f"{now.good} well, {now.failed} with an error, {now.lost} not at all")
    if now.p50_ms is not None:
        table.add_row("latency", f"p50 {now.p50_ms:.1f} ms, p99 {now.p99_ms:.1f} ms")
    table.add_row("outcomes", f"{now.outcomes} told, {now.outcomes_pending} to come")
    for ref, count in now.releases.items():
        table.add_row(ref or "no release", f"{count.good} well, {count.failed} with an error")
    return table
