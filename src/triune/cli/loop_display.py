"""The loop in the terminal: a live list of steps, or plain lines where it is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from triune.app.loop.flow import LoopResult
from triune.app.loop.model import SENTENCES, Step

NOTES_SHOWN = 3


class LiveDisplay:
    """`triune.app.loop.flow.Show` as a list that changes in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._words = ""
        self._seconds: dict[Step, float] = {}
        self._kept: set[Step] = set()
        self._current: Step | None = None
        self._since = 0.0
        self._notes: list[str] = []
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it for as long as the block runs."""
        with self._live:
            yield

    def begins(self, words: str) -> None:
        self._words = words

    def step(self, step: Step) -> None:
        self._current, self._since, self._notes = step, time.monotonic(), []

    def note(self, words: str) -> None:
        if words:
            self._notes.append(words)

    def done(self, step: Step, seconds: float, *, kept: bool = False) -> None:
        self._seconds[step] = seconds
        self._current = None
        if kept:
            self._kept.add(step)

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 1))
        for step in Step:
            table.add_row(*self._row(step))
            if step is self._current:
                for words in self._notes[-NOTES_SHOWN:]:
                    table.add_row("", "", Text(words, style="dim", overflow="ellipsis"), "")
        return Group(Text(self._words, style="bold"), table)

    def _row(
        self, step: Step
    ) -> tuple[RenderableType, RenderableType, RenderableType, RenderableType]:
        words = SENTENCES[step]
        if step in self._seconds:
            mark = Text("✓", style="green")
            took = "kept" if step in self._kept else f"{self._seconds[step]:.1f} s"
            return mark, step.value, words, took
        if step is self._current:
            elapsed = time.monotonic() - self._since
            return self._spinner, Text(step.value, style="bold"), words, f"{elapsed:.0f} s"
        return "·", Text(step.value, style="dim"), Text(words, style="dim"), ""


class LineDisplay:
    """`triune.app.loop.flow.Show` as lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Nothing to set up."""
        yield

    def begins(self, words: str) -> None:
        self._say(words)

    def step(self, step: Step) -> None:
        self._say(f"{step.value}: {SENTENCES[step]}")

    def note(self, words: str) -> None:
        if words:
            self._say(f"    {words}")

    def done(self, step: Step, seconds: float, *, kept: bool = False) -> None:
        self._say(f"{step.value}: " + ("kept" if kept else f"done in {seconds:.1f} s"))

    def _say(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)


def summarise(console: Console, result: LoopResult, *, keep_up: bool) -> None:
    """The checks as a table, where the report is, and what to try next."""
    table = Table("", "check", "result", box=None, header_style="bold", pad_edge=False)
    for check in result.checks:
        mark = Text("✓", style="green") if check.ok else Text("✗", style="bold red")
        table.add_row(mark, check.name, check.detail)
    console.print()
    console.print(table)
    verdict = "All checks hold" if result.ok else "Not every check holds"
    console.print(f"\n{verdict}, after {result.seconds:.0f} s. Report:")
    console.print(str(result.report), soft_wrap=True)
    prediction = result.facts[Step.LINEAGE]["prediction"]
    up = "" if keep_up else "  (services it started are stopped; `triune up` starts them again)"
    console.print("\nNext, in this workspace:", style="bold")
    for command in (f"lineage {prediction}", "runs", "models list", "events --kind 'rollout.*'"):
        console.print(f"  triune {command}", highlight=False, soft_wrap=True)
    console.print(f"  triune status{up}", highlight=False, soft_wrap=True)
