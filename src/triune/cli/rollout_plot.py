"""Plots of a rollout as text: share of the units, evidence, error rates. The only user of plotext.

Plotext draws on one figure for the whole process: these functions are for one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import plotext  # type: ignore[import-untyped]

from triune.cli.rollout_looks import Point, rates
from triune.cli.rollout_words import evidence, percent
from triune.core.spans import span

LEAST_E = 1e-3
"""Smaller e-values are drawn here: they all say that nothing speaks for harm."""
MOST_DRAWN = 400
_LABEL_LINES = 2


@dataclass(frozen=True, slots=True)
class Area:
    """Where a plot goes: its size in characters, whether with colours, when the time begins
    (seconds since 1970)."""

    width: int
    height: int
    colour: bool
    begin: float


@dataclass(frozen=True, slots=True)
class _Line:
    """Points to be joined, the mark they are drawn with and its colour."""

    xs: Sequence[float]
    ys: Sequence[float]
    mark: str = "braille"
    colour: str = "green"


@dataclass(frozen=True, slots=True)
class _Axis:
    """The limits of a vertical axis, and the values named at it."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]


def weight(looks: Sequence[Point], area: Area) -> str:
    """The candidate's share of the units over time, in percent."""
    xs, ys = _stairs([(point.at, point.weight) for point in _thinned(looks)], area.begin)
    top = _round_up(max(ys, default=1.0))
    axis = _Axis(0.0, top, [(value, f"{value:g} %") for value in (0.0, top / 2, top)])
    return _draw("share of units", [_Line(xs, ys, colour="cyan")], axis, area)


def e_values(looks: Sequence[Point], area: Area, needed: float) -> str:
    """The e-value of the gate over time, on a logarithmic axis, and the value that decides."""
    shown = _thinned(looks)
    xs = [point.at - area.begin for point in shown]
    ys = [log10(max(point.e, LEAST_E)) for point in shown]
    bar = log10(needed)
    low, high = floor(min([-1.0, *ys])), ceil(max([bar + 0.5, *ys]))
    powers = [(float(power), evidence(10.0**power)) for power in _powers(low, high, area)]
    decides = _Line([0.0, max(xs, default=1.0)], [bar, bar], "-", "red")
    axis = _Axis(float(low), float(high), powers)
    return _draw(f"e-value (- decides: {evidence(needed)})", [decides, _Line(xs, ys)], axis, area)


def error_rates(looks: Sequence[Point], area: Area) -> str:
    """The share of errors of both arms over time."""
    found = rates(looks, max(area.width // 2, 8))
    control = [(at - area.begin, rate) for at, rate, _ in found if rate is not None]
    candidate = [(at - area.begin, rate) for at, _, rate in found if rate is not None]
    top = _round_up(max((rate for _, rate in [*control, *candidate]), default=0.0)) or 0.01
    lines = [
        _Line(*_columns(control), ".", "blue"),
        _Line(*_columns(candidate), colour="magenta"),
    ]
    axis = _Axis(0.0, top, [(value, percent(value)) for value in (0.0, top / 2, top)])
    return _draw("errors (. stable)", lines, axis, area)


def _columns(pairs: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    rows = list(pairs)
    return [x for x, _ in rows], [y for _, y in rows]


def _draw(title: str, lines: Sequence[_Line], axis: _Axis, area: Area) -> str:
    figure = plotext.figure
    figure.clear()
    plotext.terminal.limit(False, False)
    figure.plot_size(area.width, area.height)
    figure.theme("simple")
    for line in lines:
        if line.xs:
            mark = plotext.marker(line.mark, plotext.pixel(line.colour))
            figure.draw(figure.signal(list(line.xs), list(line.ys), marker=mark).lines())
    places, names = zip(*axis.ticks, strict=True)
    figure.ruler("y").lim(axis.low, axis.high).ticks(list(places), list(names))
    last = max([1.0, *(x for line in lines for x in line.xs)])
    figure.ruler("x").lim(0.0, last).ticks([0.0, last], ["0", span(last)])
    figure.axes(False, side=[1])
    figure.title(title[: area.width])
    text: str = figure.build().string(colorless=not area.colour)
    return text.rstrip("\n")


def _powers(low: int, high: int, area: Area) -> list[int]:
    """Powers of ten to name at the axis: as many as there is room for."""
    room = max(area.height - _LABEL_LINES - 1, 2)
    step = max(1, ceil((high - low) / (room - 1)))
    return [power for power in range(low, high + 1) if power % step == 0]


def _stairs(pairs: Sequence[tuple[float, float]], begin: float) -> tuple[list[float], list[float]]:
    """Each value holds until the next moment."""
    xs: list[float] = []
    ys: list[float] = []
    for at, value in pairs:
        if ys:
            xs.append(at - begin)
            ys.append(ys[-1])
        xs.append(at - begin)
        ys.append(value)
    return xs, ys


def _thinned(looks: Sequence[Point]) -> Sequence[Point]:
    """No more looks than can be told apart; the last one always."""
    step = -(-len(looks) // MOST_DRAWN) or 1
    return looks[::-step][::-1]


def _round_up(value: float) -> float:
    """The next 1, 2, 5 or 10 times a power of ten."""
    if value <= 0.0:
        return 0.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))
