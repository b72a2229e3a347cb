"""An A/B test's effect on one metric over time, with its confidence sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triune.app.report.charts.abtest_time import since_the_first
from triune.app.report.charts.scale import Scale, ticks
from triune.app.report.charts.svg import WIDTH, Point, drawing, el, label, line, path
from triune.delivery.abtest.findings import Analysis, Compared, Estimate
from triune.delivery.abtest.model import Better, Declaration, Metric

LEFT, RIGHT, TOP, HEIGHT, LANE = 66.0, WIDTH - 150.0, 34.0, 250.0, 22.0
WIDEST = 3.0
"""Early intervals are cut off at so many half widths of the last one."""
MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """An estimate at a time, in days since the first exposure."""

    days: float
    estimate: Estimate


def draw(declaration: Declaration, metric: Metric, analyses: Sequence[Analysis]) -> str:
    """A band for each variant, the estimate in it, and what it is held against: no effect, or the
    margin. Empty while there is no interval."""
    relative = _relative(declaration, metric, analyses)
    told = {v.name: _seen(metric, v.name, analyses, relative) for v in declaration.candidates}
    told = {name: points for name, points in told.items() if points}
    if not told:
        return ""
    last = [points[-1].estimate for points in told.values()]
    limit = _limit(declaration, metric, relative)
    up = _up(last, limit)
    across = Scale(0.0, max(p.days for ps in told.values() for p in ps) or 1.0, LEFT, RIGHT)
    names = [v.name for v in declaration.candidates]
    parts = list(_grid(across, up, limit, relative=relative))
    for name, points in told.items():
        parts += _band(points, across, up, f"c{names.index(name) % 8}")
    parts += _ends(told, names, up, relative=relative)
    unit = "relative to control" if relative else "candidate minus control"
    better = "higher" if metric.better is Better.HIGHER else "lower"
    parts.append(label((0, TOP - 14), f"{metric.name}, {unit}; {better} is better", "axis"))
    words = "; ".join(f"{name} {words_of(ps[-1].estimate, relative)}" for name, ps in told.items())
    return drawing(
        TOP + HEIGHT + 42.0,
        *parts,
        title=f"The effect on {metric.name} over time",
        words=f"At the last look: {words}.",
    )


def shown(row: Compared, relative: bool) -> Estimate | None:
    """The effect that is drawn."""
    return row.relative if relative else row.difference


def words_of(found: Estimate, relative: bool) -> str:
    """An effect in a few characters: ``+3.1% (+1.0% to +5.2%)``."""
    value = _words(found.value, relative)
    if found.low is None and found.high is None:
        return value
    low = "…" if found.low is None else _words(found.low, relative)
    high = "…" if found.high is None else _words(found.high, relative)
    return f"{value} ({low} to {high})"


def _words(value: float, relative: bool) -> str:
    return f"{value:+.1%}" if relative else f"{value:+.3g}"


def _relative(declaration: Declaration, metric: Metric, analyses: Sequence[Analysis]) -> bool:
    """Relative where the last look has it for every variant that has an effect at all."""
    if not analyses or (metric.margin_absolute and declaration.held_to_margin(metric)):
        return False
    rows = [analyses[-1].of(metric.name, v.name) for v in declaration.candidates]
    known = [row for row in rows if row.difference is not None]
    return bool(known) and all(row.relative is not None for row in known)


def _seen(metric: Metric, variant: str, analyses: Sequence[Analysis], relative: bool) -> list[Seen]:
    """The looks with an interval, at most so many, the last one always."""
    points = []
    for analysis in analyses:
        found = shown(analysis.of(metric.name, variant), relative)
        if found is not None and (found.low is not None or found.high is not None):
            points.append(Seen(analysis.days, found))
    step = -(-len(points) // MOST_POINTS) or 1
    return points[::-1][::step][::-1]


def _limit(declaration: Declaration, metric: Metric, relative: bool) -> float:
    """What the interval must leave out."""
    if not declaration.held_to_margin(metric) or relative is metric.margin_absolute:
        return 0.0
    return -metric.margin if metric.better is Better.HIGHER else metric.margin


def _up(last: Sequence[Estimate], limit: float) -> Scale:
    reach = max(
        abs(end - found.value)
        for found in last
        for end in (found.low, found.high)
        if end is not None
    )
    reach = reach or max(abs(found.value) for found in last) or 1.0
    low = min(0.0, limit, *(found.value - WIDEST * reach for found in last))
    high = max(0.0, limit, *(found.value + WIDEST * reach for found in last))
    return Scale(low, high, TOP + HEIGHT, TOP)


def _grid(across: Scale, up: Scale, limit: float, *, relative: bool) -> Iterator[str]:
    for tick in ticks(up.low, up.high, 6):
        y = up(tick)
        yield line((LEFT, y), (RIGHT, y), "base" if tick == 0.0 else "grid")
        words = f"{tick * 100:+.3g} %" if relative else f"{tick:+.3g}"
        yield label((LEFT - 8, y + 4), "0" if tick == 0.0 else words, "tick", "end")
    yield from since_the_first(across, up.begin)
    if limit:
        yield line((LEFT, up(limit)), (RIGHT, up(limit)), "limit")
        yield label((LEFT + 6, up(limit) - 6), "margin", "limit-text")


def _band(points: Sequence[Seen], across: Scale, up: Scale, css: str) -> Iterator[str]:
    def edge(value: float | None, otherwise: float) -> float:
        return up(min(max(otherwise if value is None else value, up.low), up.high))

    top: list[Point] = [(across(p.days), edge(p.estimate.high, up.high)) for p in points]
    bottom: list[Point] = [(across(p.days), edge(p.estimate.low, up.low)) for p in points]
    if len(points) > 1:
        yield path([*top, *bottom[::-1]], f"area {css}")
        middle = [(across(p.days), edge(p.estimate.value, 0.0)) for p in points]
        yield path(middle, f"stroke p99 {css}")
    yield line(bottom[-1], top[-1], f"bar {css}")
    yield el(
        "circle",
        cx=across(points[-1].days),
        cy=edge(points[-1].estimate.value, 0.0),
        r=5,
        cls=f"fill ring {css}",
    )


def _ends(
    told: dict[str, list[Seen]], names: Sequence[str], up: Scale, *, relative: bool
) -> Iterator[str]:
    """Each variant's name and last value, beside its line, moved apart where they would touch."""
    below = -1e9
    for name, points in sorted(told.items(), key=lambda kv: -kv[1][-1].estimate.value):
        found = points[-1].estimate
        below = max(up(found.value) + 5.0, below + LANE)
        css = f"letter-end c{names.index(name) % 8}"
        yield label((RIGHT + 12, below), f"{name} {_words(found.value, relative)}", css)
