"""Latency over time: the median and the 99th percentile of each release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from triune.app.report.charts.scale import Scale, clock, log_ticks, number, time_ticks
from triune.app.report.charts.svg import Point, drawing, el, label, line, path
from triune.app.report.charts.timeline import LEFT, RIGHT, runs_of, within
from triune.app.report.model import Mark, MarkKind, ReleaseView
from triune.app.report.traffic import Slice, Traffic

TOP, BOTTOM, HEIGHT = 30.0, 250.0, 284.0
END = RIGHT


def draw(traffic: Traffic, marks: Sequence[Mark], releases: Mapping[str, ReleaseView]) -> str:
    """Both percentiles as lines on a logarithmic scale, in milliseconds."""
    values = [v for s in traffic.slices for c in s.cells.values() for v in (c.p50, c.p99) if v]
    if not values:
        return ""
    across = Scale(0.0, traffic.width * len(traffic.slices), LEFT, END)
    up = Scale(min(values) * 0.8, max(values) * 1.25, BOTTOM, TOP, logarithmic=True)
    return drawing(
        HEIGHT,
        *_grid(up, across),
        *(
            line((x, TOP), (x, BOTTOM), f"mark {mark.kind.value}")
            for mark in within(marks, traffic)
            if mark.kind is not MarkKind.REFUSED
            for x in [across(max(mark.at - traffic.origin, 0.0))]
        ),
        *(
            part
            for ref, view in releases.items()
            for part in _lines(traffic, ref, view, across, up)
        ),
        *_names(traffic, releases, up),
        title="Latency over time by release",
        words=f"Median {traffic.p50} ms and 99th percentile {traffic.p99} ms over everything.",
    )


def _grid(up: Scale, across: Scale) -> Iterator[str]:
    for tick in log_ticks(up.low, up.high):
        yield line((LEFT, up(tick)), (END, up(tick)), "grid")
        yield label((LEFT - 8, up(tick) + 4), number(tick), "tick", "end")
    yield label((0, TOP - 12), "milliseconds, logarithmic", "axis")
    for tick in time_ticks(across.high):
        yield label((across(tick), BOTTOM + 20), clock(tick), "tick", "middle")


def _lines(
    traffic: Traffic, ref: str, view: ReleaseView, across: Scale, up: Scale
) -> Iterator[str]:
    half = traffic.width / 2
    for stretch in runs_of(traffic.slices, ref):
        for name in ("p50", "p99"):
            points: list[Point] = [
                (across(cut.begin + half), up(value))
                for cut in stretch
                if (value := _percentile(cut, ref, name)) is not None
            ]
            if points:
                yield path(points, f"stroke {name} {view.css}")
        for cut in stretch:
            p99 = _percentile(cut, ref, "p99")
            if p99 is not None:
                words = f"{clock(cut.begin)}, {view.letter}: median {cut.cells[ref].p50} ms"
                at = (across(cut.begin + half), up(p99))
                yield _dot(at, f"{words}, 99 % within {p99} ms")


def _percentile(cut: Slice, ref: str, name: str) -> float | None:
    cell = cut.cells[ref]
    return cell.p50 if name == "p50" else cell.p99


def _dot(at: Point, words: str) -> str:
    return el("circle", el("title", text=words), cx=at[0], cy=at[1], r=5, cls="hover")


def _names(traffic: Traffic, releases: Mapping[str, ReleaseView], up: Scale) -> Iterator[str]:
    """Which line is which, beside the end of the last release's."""
    last = next((s for s in reversed(traffic.slices) if any(c.p99 for c in s.cells.values())), None)
    if last is None:
        return
    ref = max(last.cells, key=lambda one: last.cells[one].good)
    cell, view = last.cells[ref], releases.get(ref)
    if view is None or cell.p50 is None or cell.p99 is None:
        return
    low, high = up(cell.p50), up(cell.p99)
    if low - high < 16:
        low, high = (low + high) / 2 + 8, (low + high) / 2 - 8
    yield label((END + 8, high + 4), "99 % within", "axis")
    yield label((END + 8, low + 4), "median", "axis")
