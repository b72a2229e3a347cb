"""One picture of a rollout for a terminal of any size: what `triune rollout watch` shows.

Pure: the view, the looks, the moment and the size in, a renderable out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from triune.cli import rollout_plot as plot
from triune.cli import rollout_view as words
from triune.cli.layout import fit
from triune.cli.output import many
from triune.cli.rollout_looks import Point, points
from triune.cli.rollout_words import clock, evidence

if TYPE_CHECKING:
    from triune.delivery.rollout.view import RolloutView
    from triune.ledger.envelope import Event

LEAST_PLOT = 6
MOST_PLOT = 14
LEAST_WIDTH = 24
DECISIONS = 4
_COLOURS = {"fail": "red", "pass": "green", "rolled-back": "red", "refused": "red"}


@dataclass(frozen=True, slots=True)
class Size:
    """The room there is, in characters; ``colour``: whether the terminal has colours."""

    width: int
    height: int
    colour: bool = True


def picture(
    view: RolloutView,
    events: Sequence[Event],
    now: float,
    size: Size,
    *,
    note: str = "",
) -> RenderableType:
    """The whole picture, at most ``size.height`` lines high."""
    console = Console(width=size.width)
    head = [*_head(view, now), *([Text(note, style="yellow")] if note else [])]
    top = [line for text in head for line in text.wrap(console, size.width)]
    table = _metrics(view, size.width) if view.looks else _shadow(view)
    rows = len(view.metrics) + 1 if view.looks else len(words.shadow_rows(view))
    told = decisions(events)[-DECISIONS:]
    left = size.height - len(top) - rows - len(told)
    parts: list[RenderableType] = [*top]
    looks = points(events)
    if looks and left >= LEAST_PLOT:
        parts.append(_plots(view, looks, size, min(left, MOST_PLOT)))
    parts.append(table)
    parts += [_cropped(Text(line, style="dim")) for line in told]
    return Group(*parts)


def decisions(events: Sequence[Event]) -> list[str]:
    """What the looks decided, in lines: each that did something, each beginning of a gap in the
    readings, and the last one."""
    lines: list[str] = []
    gap = ""
    for place, event in enumerate(events):
        payload = event.payload
        action, before = payload.get("action", ""), gap
        gap = payload.get("reading", {}).get("gap", "")
        acts = action not in ("", "hold")
        if acts or (gap and not before) or place == len(events) - 1:
            did = f", {action}" if acts else ""
            at = clock(event.time / 1e6)
            lines.append(f"{at} {payload['verdict']}{did}: {gap or payload.get('reason', '')}")
    return lines


def _head(view: RolloutView, now: float) -> Iterator[Text]:
    beside = f" beside {_short(view.stable)}" if view.stable else ""
    what = f"{view.strategy.value} of {_short(view.release)}{beside}"
    yield Text(f"{view.endpoint}: {what}", style="bold")
    if view.over:
        yield Text(words.outcome(view), style=_COLOURS.get(view.outcome, "green"))
    elif view.phase == "canary":
        yield Text(_step(view), style="cyan")
    else:
        yield Text(words.standing(view), style="cyan")
    if view.paused:
        yield Text(f"paused {words.paused(view)}", style="yellow")
    elif view.looks and not view.over:
        yield Text(f"{view.verdict}: {view.reason}", style=_COLOURS.get(view.verdict, ""))
    if view.looks:
        yield Text(_evidence(view, now), style="dim")


def _step(view: RolloutView) -> str:
    following = view.steps[view.step + 1] if view.step + 1 < len(view.steps) else 100.0
    return (
        f"step {view.step + 1} of {len(view.steps)}: {view.weight:g} % of the units, "
        f"next {following:g} %"
    )


def _evidence(view: RolloutView, now: float) -> str:
    parts = []
    if view.next_at is not None:
        parts.append(f"next look {words.next_look(view.next_at, now)}")
    parts.append(f"e {evidence(view.e)} of {evidence(view.needed)}")
    parts.append(f"{many(view.exposed, 'answer')}, {many(view.exposed_errors, 'error')}")
    parts.append(many(view.looks, "look") + (f", {many(view.gaps, 'gap')}" if view.gaps else ""))
    return " · ".join(parts)


def _short(release: str) -> str:
    """A release without its endpoint, which is named already."""
    return release.rpartition("@")[2]


def _plots(view: RolloutView, looks: Sequence[Point], size: Size, height: int) -> Table:
    """As many plots as there is room for side by side; the evidence is the last to go."""
    count = min(max(size.width // LEAST_WIDTH, 1), 3)
    area = plot.Area((size.width - count + 1) // count, height, size.colour, view.started)
    drawn = [
        plot.e_values(looks, area, view.needed),
        plot.error_rates(looks, area) if count > 1 else "",
        plot.weight(looks, area) if count > 2 else "",
    ]
    row = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    row.add_row(*(Text.from_ansi(text) for text in drawn[:count]))
    return row


def _metrics(view: RolloutView, width: int) -> Table:
    rows = words.metric_rows(view)
    headers = [len(name) for name in words.COLUMNS]
    natural = [
        max([length, *(len(row[place]) for row in rows)]) for place, length in enumerate(headers)
    ]
    out = [words.COLUMNS.index(name) for name in words.FIRST_OUT]
    shown = fit(natural, headers, width, keep=1, first_out=out)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for place, wide in shown.items():
        words_here = words.COLUMNS[place] in ("metric", "mode")
        table.add_column(
            words.COLUMNS[place],
            width=wide,
            no_wrap=True,
            justify="left" if words_here else "right",
        )
    for row in rows:
        table.add_row(*(Text(row[place]) for place in shown))
    return table


def _shadow(view: RolloutView) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for name, value in words.shadow_rows(view):
        table.add_row(Text(name), Text(value))
    return table


def _cropped(line: Text) -> Text:
    line.no_wrap = True
    line.overflow = "ellipsis"
    return line
