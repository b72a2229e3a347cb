"""Services coming up or going down, live in a terminal and line by line elsewhere."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from triune.cli.live import Shown
from triune.operations.services.model import Phase, Progress

_SETTLED = {
    Phase.READY: "[green]ready[/]",
    Phase.FAILED: "[red]failed[/]",
    Phase.STOPPED: "[dim]stopped[/]",
    Phase.CLEARED: "[yellow]cleared[/]",
}


class ServiceProgress(Shown):
    """Takes `Progress` from any thread; use as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(quiet=quiet)
        self._live: Live | None = None
        if self._console.is_terminal and not quiet:
            self._live = Live(console=self._console, get_renderable=self._table, transient=False)
        self._latest: dict[str, Progress] = {}
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            self._latest[progress.name] = progress
            self._since.setdefault(progress.name, time.monotonic())
        if self._live is None and progress.phase in _SETTLED:
            self._console.print(*_cells(progress, progress.seconds), sep="  ", highlight=False)

    def _table(self) -> Table:
        with self._lock:
            rows = list(self._latest.items())
        table = Table.grid(padding=(0, 2))
        for name, progress in rows:
            if progress.phase in _SETTLED:
                table.add_row(*_cells(progress, progress.seconds))
            else:
                spinner = Spinner("dots", text=progress.phase.value)
                table.add_row(name, spinner, f"{time.monotonic() - self._since[name]:.1f} s")
        return table


def _cells(progress: Progress, seconds: float) -> tuple[str, str, str]:
    if progress.phase is Phase.CLEARED:
        return "leftovers", _SETTLED[progress.phase], progress.note
    if progress.phase is Phase.READY and not progress.fresh:
        return progress.name, _SETTLED[progress.phase], "ran already"
    return progress.name, _SETTLED[progress.phase], f"{seconds:.1f} s" if seconds else ""
