"""A shadow's comparison: how often it differs and fails, with intervals that narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triune.app.report.charts.scale import Scale, number, spread, ticks
from triune.app.report.charts.svg import WIDTH, Point, drawing, el, label, line, path
from triune.app.report.model import RateInterval, ShadowView

TOP, BOTTOM, HEIGHT = 30.0, 190.0, 236.0
MIDDLE = 44.0
LEFT, BESIDE = 50.0, 100.0
HALF = (WIDTH - MIDDLE) / 2
ROOM = 2.2
"""How far above the limit the rates are drawn; an interval that begins wider is cut off."""

NOTHING_KNOWN = RateInterval(0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Rate:
    """One of the two rates: its name, what it may be, and how it was known after each look."""

    title: str
    limit: float
    known: tuple[tuple[int, RateInterval], ...]


def draw(shadow: ShadowView) -> str:
    """Both rates over the pairs compared: the interval as a band, the limit as a line."""
    if not shadow.points:
        return ""
    differ = Rate(
        "answers that differ",
        shadow.most_disagreement,
        tuple((point.pairs, point.disagreement) for point in shadow.points),
    )
    fail = Rate(
        "requests that only the shadow failed",
        shadow.most_failures,
        tuple((point.pairs, point.failures) for point in shadow.points),
    )
    last = shadow.points[-1]
    return drawing(
        HEIGHT,
        *_panel(differ, 0.0, shadow),
        *_panel(fail, HALF + MIDDLE, shadow),
        title=f"How {shadow.release.letter}'s answers compare",
        words=f"Of {last.pairs} pairs {_told(last.disagreement)} differ; "
        f"{_told(last.failures)} of the requests failed.",
    )


def _panel(rate: Rate, left: float, shadow: ShadowView) -> Iterator[str]:
    most = max(pairs for pairs, _ in rate.known)
    across = Scale(0.0, max(most, shadow.planned), left + LEFT, left + HALF - BESIDE)
    high = max(rate.limit * ROOM, rate.known[-1][1].high * 1.1)
    up = Scale(0.0, high, BOTTOM, TOP)
    yield label((left, TOP - 12), rate.title, "axis")
    for tick in ticks(0.0, high, 4):
        yield line((across.begin, up(tick)), (across.end, up(tick)), "grid")
        yield label((across.begin - 8, up(tick) + 4), f"{tick * 100:.3g} %", "tick", "end")
    for tick in ticks(0.0, across.high, 4):
        yield label((across(tick), BOTTOM + 20), number(tick), "tick", "middle")
    yield label((across.end, BOTTOM + 36), "answers compared", "tick", "end")
    yield from _band(rate.known, across, up, shadow.release.css)
    yield line((across.begin, up(rate.limit)), (across.end, up(rate.limit)), "limit")
    _, now = rate.known[-1]
    limit, found = spread([up(rate.limit), up(min(now.rate, high))])
    allowed = f"{rate.limit * 100:.3g} % allowed"
    yield label((across.end + 8, limit + 4), allowed, "limit-text")
    yield label((across.end + 8, found + 4), f"{now.rate * 100:.2f} %", "value")


def _band(
    known: Sequence[tuple[int, RateInterval]], across: Scale, up: Scale, css: str
) -> Iterator[str]:
    every = [(0, NOTHING_KNOWN), *known]
    top: list[Point] = [(across(n), up(min(now.high, up.high))) for n, now in every]
    bottom: list[Point] = [(across(n), up(min(now.low, up.high))) for n, now in every]
    yield path([*top, *reversed(bottom)], f"area {css}")
    yield path([(across(n), up(min(now.rate, up.high))) for n, now in known], f"stroke p99 {css}")
    for pairs, now in known:
        title = el("title", text=f"{pairs} compared: {_told(now)}")
        at = across(pairs), up(min(now.rate, up.high))
        yield el("circle", title, cx=at[0], cy=at[1], r=4, cls=f"fill ring {css}")


def _told(now: RateInterval) -> str:
    return f"{now.rate:.2%} (between {now.low:.2%} and {now.high:.2%})"
