"""A run going on: one live line in a terminal, nothing elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from triune.cli.live import Shown
from triune.models.tracking.model import RunRecord

SHOWN_METRICS = 4


class RunProgress(Shown):
    """Takes a run as it stands, again and again; use as a context manager."""

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        self._name = name
        self._begin = time.monotonic()
        self._record: RunRecord | None = None
        self._step = ""
        console = Console(stderr=True)
        shown = console.is_terminal and not quiet
        self._spinner = Spinner("dots")
        self._live = (
            Live(console=console, get_renderable=self._line, transient=True) if shown else None
        )

    def __call__(self, record: RunRecord) -> None:
        self._record = record

    def say(self, step: str) -> None:
        """What is being done, beside the metrics."""
        self._step = step

    def _line(self) -> Spinner:
        metrics = self._record.metrics if self._record else {}
        newest = list(metrics.items())[-SHOWN_METRICS:]
        words = "  ".join(f"{name} {value:.5g}" for name, value in newest)
        seconds = time.monotonic() - self._begin
        self._spinner.update(text=f"{self._name}  {self._step}  {seconds:.1f} s  {words}")
        return self._spinner
