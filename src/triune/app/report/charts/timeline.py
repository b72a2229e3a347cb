"""Traffic by release over time, with errors and every change of what serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from triune.app.report.charts.scale import Scale, clock, number, ticks, time_ticks
from triune.app.report.charts.svg import WIDTH, Point, bar, drawing, el, label, line
from triune.app.report.model import Mark, MarkKind, ReleaseView
from triune.app.report.traffic import Slice, Traffic

LEFT, RIGHT = 56.0, WIDTH - 96.0
BARS, ERRORS = 214.0, 48.0
FLAG_HEIGHT, FLAG_GAP, MOST_ROWS = 23.0, 4.0, 4
_CHARACTER = 8.2


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things are: the bars, below them the errors."""

    across: Scale
    up: Scale
    down: Scale

    @property
    def bottom(self) -> float:
        return self.down.begin


@dataclass(frozen=True, slots=True)
class Flag:
    """A mark with its place: the moment's ``x``, the label's left end, width and row."""

    mark: Mark
    x: float
    left: float
    wide: float
    row: int

    @property
    def top(self) -> float:
        return 4.0 + self.row * (FLAG_HEIGHT + FLAG_GAP)


def draw(traffic: Traffic, marks: Sequence[Mark], releases: Mapping[str, ReleaseView]) -> str:
    """Stacked bars of good answers a second by release, bars of errors below, flags above."""
    across = Scale(0.0, traffic.width * len(traffic.slices), LEFT, RIGHT)
    shown = within(marks, traffic)
    flags = _placed(shown, traffic, across)
    rows = max((flag.row for flag in flags), default=-1) + 1
    top = 34.0 + rows * (FLAG_HEIGHT + FLAG_GAP)
    most = max(s.good / s.width for s in traffic.slices) or 1.0
    worst = max((s.failed + s.lost) / s.width for s in traffic.slices)
    errors = top + BARS + 36
    frame = Frame(
        across,
        Scale(0.0, most * 1.05, top + BARS, top),
        Scale(0.0, max(worst, 1.0), errors + ERRORS, errors),
    )
    return drawing(
        frame.bottom + 32,
        *_grid(frame, traffic),
        *(part for s in traffic.slices for part in _bars(s, frame, releases)),
        *(_error_bar(s, frame) for s in traffic.slices if s.failed + s.lost),
        *(_flag(flag, frame) for flag in flags),
        label((0, frame.up.end - 12), "good answers a second", "axis"),
        label((0, frame.down.end - 12), "errors and lost requests a second", "axis"),
        title="Traffic and errors over time by release",
        words=_words(traffic, shown),
    )


def within(marks: Sequence[Mark], traffic: Traffic) -> list[Mark]:
    """The marks that belong into a drawing of this traffic: what came after it has no place."""
    end = traffic.origin + traffic.width * len(traffic.slices)
    return [mark for mark in marks if mark.at <= end]


def _grid(frame: Frame, traffic: Traffic) -> list[str]:
    parts = []
    rows = [(frame.up, tick) for tick in ticks(0.0, frame.up.high, 4)]
    rows += [(frame.down, tick) for tick in (0.0, frame.down.high)]
    for scale, tick in rows:
        parts.append(line((LEFT, scale(tick)), (RIGHT, scale(tick)), "grid"))
        parts.append(label((LEFT - 8, scale(tick) + 4), number(tick), "tick", "end"))
    for tick in time_ticks(frame.across.high):
        parts.append(label((frame.across(tick), frame.bottom + 20), clock(tick), "tick", "middle"))
    if not traffic.failed + traffic.lost:
        middle = (frame.down.begin + frame.down.end) / 2 + 4
        parts.append(label(((LEFT + RIGHT) / 2, middle), "none", "tick", "middle"))
    return parts


def _bars(cut: Slice, frame: Frame, releases: Mapping[str, ReleaseView]) -> list[str]:
    parts, below = [], 0.0
    for ref, view in releases.items():
        cell = cut.cells.get(ref)
        if cell is None or not cell.good:
            continue
        above = below + cell.good / cut.width
        hover = f"{clock(cut.begin)}: {view.letter} answered {cell.good / cut.width:.0f} a second"
        place = (frame.up(above), frame.up(below))
        parts.append(bar(_across(cut, frame), place, f"fill {view.css}", hover))
        below = above
    return parts


def _error_bar(cut: Slice, frame: Frame) -> str:
    hover = f"{clock(cut.begin)}: {cut.failed} failed, {cut.lost} lost"
    place = (frame.down((cut.failed + cut.lost) / cut.width), frame.bottom)
    return bar(_across(cut, frame), place, "fill bad", hover)


def _across(cut: Slice, frame: Frame) -> Point:
    x = frame.across(cut.begin)
    return x, frame.across(cut.begin + cut.width) - x


def _placed(marks: Sequence[Mark], traffic: Traffic, across: Scale) -> list[Flag]:
    """Each mark in the first row where its label touches no other."""
    flags: list[Flag] = []
    ends = [-1e9] * MOST_ROWS
    for mark in sorted(marks, key=lambda mark: mark.at):
        x = across(min(max(mark.at - traffic.origin, 0.0), across.high))
        wide = len(mark.label) * _CHARACTER + 18
        left = min(x, WIDTH - wide)
        row = next((i for i, end in enumerate(ends) if left > end + 4), MOST_ROWS - 1)
        ends[row] = left + wide
        flags.append(Flag(mark, x, left, wide, row))
    return flags


def _flag(flag: Flag, frame: Frame) -> str:
    refused = flag.mark.kind is MarkKind.REFUSED
    bottom = frame.up.end if refused else frame.bottom
    box = el(
        "rect",
        x=flag.left,
        y=flag.top,
        width=flag.wide,
        height=FLAG_HEIGHT,
        rx=4,
        cls=f"flag {flag.mark.css}",
    )
    return el(
        "g",
        line((flag.x, flag.top + 4), (flag.x, bottom), f"mark {flag.mark.kind.value}"),
        box,
        label((flag.left + 9, flag.top + 16), flag.mark.label, "flag-text"),
    )


def _words(traffic: Traffic, marks: Sequence[Mark]) -> str:
    moments = ", ".join(f"{m.label} at {clock(m.at - traffic.origin)}" for m in marks)
    return (
        f"{traffic.good} good answers in {clock(traffic.seconds)}, {traffic.failed} failed, "
        f"{traffic.lost} lost. {moments}."
    )


def runs_of(slices: Sequence[Slice], release: str) -> list[list[Slice]]:
    """The stretches of neighbouring slices in which a release answered."""
    inside = [s for s in slices if release in s.cells]
    if not inside:
        return []
    width = slices[0].width
    stretches = [[inside[0]]]
    for before, after in pairwise(inside):
        if after.begin - before.begin > width * 1.5:
            stretches.append([])
        stretches[-1].append(after)
    return stretches
