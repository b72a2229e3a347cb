"""Traffic by release over time, with errors and every change of what serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from triune.app.report.charts.scale import Scale, clock, number, ticks, time_ticks
from triune.app.report.charts.svg import WIDTH, Point, drawing, el, label, line
from triune.app.report.model import Mark, MarkKind, ReleaseView
from triune.app.report.traffic import Slice, Traffic

LEFT, RIGHT = 56.0, WIDTH - 20.0
TOP, BOTTOM = 86.0, 300.0
ERRORS_TOP, ERRORS_BOTTOM = 336.0, 384.0
HEIGHT = 420.0
FLAG_HEIGHT, FLAG_ROWS = 22.0, 3
_CHARACTER = 6.7


def draw(traffic: Traffic, marks: Sequence[Mark], releases: Mapping[str, ReleaseView]) -> str:
    """Stacked bars of good answers a second by release, bars of errors below, flags above."""
    across = Scale(0.0, traffic.width * len(traffic.slices), LEFT, RIGHT)
    most = max(s.good / traffic.width for s in traffic.slices)
    up = Scale(0.0, most * 1.08 or 1.0, BOTTOM, TOP)
    worst = max((s.failed + s.lost) / traffic.width for s in traffic.slices)
    down = Scale(0.0, max(worst, 1.0), ERRORS_BOTTOM, ERRORS_TOP)
    return drawing(
        HEIGHT,
        *_grid(up, down, across, traffic),
        *(bar for s in traffic.slices for bar in _bars(s, traffic.width, across, up, releases)),
        *(_error_bar(s, traffic.width, across, down) for s in traffic.slices if s.failed + s.lost),
        *_flags(marks, traffic, across),
        title="Traffic and errors over time by release",
        words=_words(traffic, marks),
    )


def _grid(up: Scale, down: Scale, across: Scale, traffic: Traffic) -> list[str]:
    parts = []
    for tick in ticks(0.0, up.high, 4):
        parts.append(line((LEFT, up(tick)), (RIGHT, up(tick)), "grid"))
        parts.append(label((LEFT - 8, up(tick) + 4), number(tick), "tick", "end"))
    parts.append(label((LEFT, TOP - 8), "good answers a second", "axis"))
    parts.append(label((LEFT, ERRORS_TOP - 8), "errors and lost requests a second", "axis"))
    for tick in (0.0, down.high):
        parts.append(line((LEFT, down(tick)), (RIGHT, down(tick)), "grid"))
        parts.append(label((LEFT - 8, down(tick) + 4), number(tick), "tick", "end"))
    for tick in time_ticks(across.high):
        parts.append(label((across(tick), ERRORS_BOTTOM + 20), clock(tick), "tick", "middle"))
    if not traffic.failed + traffic.lost:
        middle = (ERRORS_TOP + ERRORS_BOTTOM) / 2 + 4
        parts.append(label(((LEFT + RIGHT) / 2, middle), "none", "tick", "middle"))
    return parts


def _bars(
    cut: Slice,
    width: float,
    across: Scale,
    up: Scale,
    releases: Mapping[str, ReleaseView],
) -> list[str]:
    x, wide = across(cut.begin), across(cut.begin + width) - across(cut.begin)
    parts, below = [], 0.0
    for ref, view in releases.items():
        cell = cut.cells.get(ref)
        if cell is None or not cell.good:
            continue
        above = below + cell.good / width
        hover = f"{clock(cut.begin)}: {view.letter} answered {cell.good / width:.0f} a second"
        parts.append(_bar((x, wide), (up(above), up(below)), f"fill {view.css}", hover))
        below = above
    return parts


def _error_bar(cut: Slice, width: float, across: Scale, down: Scale) -> str:
    x, wide = across(cut.begin), across(cut.begin + width) - across(cut.begin)
    high = down((cut.failed + cut.lost) / width)
    hover = f"{clock(cut.begin)}: {cut.failed} failed, {cut.lost} lost"
    return _bar((x, wide), (high, ERRORS_BOTTOM), "fill bad", hover)


def _bar(across: Point, up: Point, cls: str, hover: str) -> str:
    (x, wide), (top, bottom) = across, up
    gap = min(1.0, wide * 0.12)
    return el(
        "rect",
        el("title", text=hover),
        x=x + gap / 2,
        y=top,
        width=max(wide - gap, 0.5),
        height=max(bottom - top, 0.5),
        cls=cls,
    )


def _flags(marks: Sequence[Mark], traffic: Traffic, across: Scale) -> list[str]:
    parts = []
    rows = [-1e9] * FLAG_ROWS
    for mark in sorted(marks, key=lambda mark: mark.at):
        seconds = min(max(mark.at - traffic.origin, 0.0), across.high)
        x, wide = across(seconds), len(mark.label) * _CHARACTER + 16
        left = min(x, RIGHT - wide)
        row = next((i for i, end in enumerate(rows) if left > end + 4), FLAG_ROWS - 1)
        rows[row] = left + wide
        y = 6.0 + row * (FLAG_HEIGHT + 3)
        parts.append(_flag(mark, (x, y), left, wide))
    return parts


def _flag(mark: Mark, at: Point, left: float, wide: float) -> str:
    x, y = at
    bottom = ERRORS_BOTTOM if mark.kind is not MarkKind.REFUSED else TOP - 2
    return el(
        "g",
        line((x, y + FLAG_HEIGHT), (x, bottom), f"mark {mark.kind.value}"),
        el("rect", x=left, y=y, width=wide, height=FLAG_HEIGHT, rx=4, cls=f"flag {mark.css}"),
        label((left + 8, y + 15), mark.label, "flag-text"),
        cls="flag-group",
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
    width = slices[1].begin - slices[0].begin if len(slices) > 1 else 1.0
    stretches = [[inside[0]]]
    for before, after in pairwise(inside):
        if after.begin - before.begin > width * 1.5:
            stretches.append([])
        stretches[-1].append(after)
    return stretches
