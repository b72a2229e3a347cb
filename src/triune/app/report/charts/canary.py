"""A canary over time: its share, both arms' traffic, the evidence of harm, their errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import ceil, log10

from triune.app.report.charts.scale import Scale, clock, number, spread, ticks, time_ticks
from triune.app.report.charts.svg import WIDTH, Point, bar, drawing, el, label, line, path
from triune.app.report.model import CanaryView, LookPoint

LEFT, RIGHT = 56.0, WIDTH - 96.0
TOP, GAP = 50.0, 38.0
WEIGHT, TRAFFIC, EVIDENCE, ERRORS = 40.0, 92.0, 130.0, 84.0
MOST_LOOKS = 160
LEAST_E, MOST_E = 0.01, 1e9
"""E-values are drawn between these."""
MOST_POWERS = 7


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the drawing with its own scale; all share the time across."""

    across: Scale
    up: Scale

    @property
    def top(self) -> float:
        return self.up.end

    @property
    def bottom(self) -> float:
        return self.up.begin


def draw(canary: CanaryView) -> str:
    """Four panels, one above the other, and the moment of the decision through all of them."""
    looks = merged(canary.looks)
    end = max([canary.ended or canary.began, *(look.at for look in looks)])
    across = Scale(0.0, max(end - canary.began, 1.0), LEFT, RIGHT)
    weight, traffic, evidence, errors = _panels(across, canary, looks)
    return drawing(
        errors.bottom + 32,
        *_weight(weight, canary),
        *_traffic(traffic, canary, looks),
        *_evidence(evidence, canary, looks),
        *_errors(errors, canary, looks),
        *_times(errors),
        *_decision(errors, canary),
        title=f"The canary of {canary.release.letter} over time",
        words=_words(canary),
    )


def merged(looks: Sequence[LookPoint], most: int = MOST_LOOKS) -> list[LookPoint]:
    """At most so many points: neighbouring looks summed, each group with its last e-value."""
    if not looks:
        return []
    size = ceil(len(looks) / most)
    groups = [looks[i : i + size] for i in range(0, len(looks), size)]
    return [_sum(group) for group in groups]


def _sum(group: Sequence[LookPoint]) -> LookPoint:
    return replace(
        group[-1],
        seconds=sum(look.seconds for look in group),
        control=sum(look.control for look in group),
        candidate=sum(look.candidate for look in group),
        control_errors=sum(look.control_errors for look in group),
        candidate_errors=sum(look.candidate_errors for look in group),
        gap=next((look.gap for look in group if look.gap), ""),
    )


def _panels(across: Scale, canary: CanaryView, looks: Sequence[LookPoint]) -> Iterator[Panel]:
    rates = [(look.control + look.candidate) / (look.seconds or 1.0) for look in looks]
    reached = [min(max(look.e, LEAST_E), MOST_E) for look in looks]
    worst = max([0.01, *(rate for pair in _running(looks) for rate in pair)])
    low, high = min([0.1, *reached]), max([canary.needed * 4, *(e * 2 for e in reached)])
    top = TOP
    for height, bottom, most, by_log in (
        (WEIGHT, 0.0, 100.0, False),
        (TRAFFIC, 0.0, max([1.0, *rates]) * 1.05, False),
        (EVIDENCE, low, high, True),
        (ERRORS, 0.0, worst * 1.1, False),
    ):
        yield Panel(across, Scale(bottom, most, top + height, top, logarithmic=by_log))
        top += height + GAP


def _running(looks: Sequence[LookPoint]) -> list[tuple[float, float]]:
    """Each arm's share of errors from the beginning until each look."""
    rows = [(k.control, k.control_errors, k.candidate, k.candidate_errors) for k in looks]
    sums = accumulate(rows, lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]))
    return [(bad / (n or 1), worse / (m or 1)) for n, bad, m, worse in sums]


def _frame(panel: Panel, title: str, marks: Sequence[tuple[float, str]]) -> Iterator[str]:
    yield label((0, panel.top - 12), title, "axis")
    for value, words in marks:
        y = panel.up(value)
        yield line((LEFT, y), (RIGHT, y), "grid")
        yield label((LEFT - 8, y + 4), words, "tick", "end")


def _weight(panel: Panel, canary: CanaryView) -> Iterator[str]:
    yield from _frame(panel, "percent of the units", [(0.0, "0"), (100.0, "100")])
    end = panel.across.high
    points: list[Point] = [(LEFT, panel.up(0.0))]
    for step in canary.steps:
        x = panel.across(min(step.at - canary.began, end))
        points += [(x, points[-1][1]), (x, panel.up(step.percent))]
        if 0.0 < step.percent < 100.0:
            yield label((x + 5, panel.up(step.percent) - 5), f"{step.percent:g} %", "tick")
    points.append((RIGHT, points[-1][1]))
    yield path([*points, (RIGHT, panel.bottom), (LEFT, panel.bottom)], _css("area", canary))
    yield path(points, _css("stroke p99", canary))


def _traffic(panel: Panel, canary: CanaryView, looks: Sequence[LookPoint]) -> Iterator[str]:
    marks = [(tick, number(tick)) for tick in ticks(0.0, panel.up.high, 3)]
    yield from _frame(panel, "answers a second, by release", marks)
    stable = canary.stable.css if canary.stable else "c-other"
    for look in looks:
        begin, end = look.at - look.seconds - canary.began, look.at - canary.began
        left = panel.across(max(begin, 0.0))
        place = left, panel.across(end) - left
        if look.gap:
            words = f"{clock(end)}: {look.gap}"
            yield bar(place, (panel.top, panel.bottom), "fill gap", words)
            continue
        seconds = look.seconds or 1.0
        middle = panel.up(look.control / seconds)
        top = panel.up((look.control + look.candidate) / seconds)
        words = f"{clock(end)}: {look.control} of the stable, {look.candidate} of the candidate"
        yield bar(place, (middle, panel.bottom), f"fill {stable}", words)
        yield bar(place, (top, middle), _css("fill", canary), words)


def _evidence(panel: Panel, canary: CanaryView, looks: Sequence[LookPoint]) -> Iterator[str]:
    marks = [(tick, _power(tick)) for tick in _powers(panel.up.low, panel.up.high)]
    yield from _frame(panel, "evidence of harm: e-value, logarithmic", marks)
    limit, first = panel.up(canary.needed), (LEFT, panel.up(1.0))
    yield line((LEFT, limit), (RIGHT, limit), "limit")
    places = [_place(panel, canary, look) for look in looks]
    yield path([first, *places], _css("stroke p99", canary))
    for look, (x, y) in zip(looks, places, strict=True):
        title = el("title", text=f"{clock(look.at - canary.began)}: e-value {look.e:.3g}")
        yield el("circle", title, cx=x, cy=y, r=5, cls="hover")
    heights = spread([limit, *(y for _, y in places[-1:])])
    yield label((RIGHT + 8, heights[0] + 4), f"{canary.needed:g}: back", "limit-text")
    if places:
        x, y = places[-1]
        yield el("circle", cx=x, cy=y, r=5.5, cls=_css("fill ring", canary))
        yield label((RIGHT + 8, heights[1] + 4), number(looks[-1].e), "value")


def _place(panel: Panel, canary: CanaryView, look: LookPoint) -> Point:
    value = min(max(look.e, LEAST_E), MOST_E)
    return panel.across(min(look.at - canary.began, panel.across.high)), panel.up(value)


def _powers(low: float, high: float) -> list[float]:
    every = range(ceil(log10(low) - 1e-9), int(log10(high)) + 1)
    step = ceil(len(every) / MOST_POWERS)
    return [10.0**power for power in every if power % step == 0]


def _power(value: float) -> str:
    return number(value) if value < 1e5 else f"10^{round(log10(value))}"


def _errors(panel: Panel, canary: CanaryView, looks: Sequence[LookPoint]) -> Iterator[str]:
    marks = [(tick, f"{tick * 100:g} %") for tick in ticks(0.0, panel.up.high, 3)]
    yield from _frame(panel, "share of answers that were errors, so far", marks)
    if not looks:
        return
    rates = _running(looks)
    at = [panel.across(min(look.at - canary.began, panel.across.high)) for look in looks]
    arms = [
        (canary.stable, [stable for stable, _ in rates]),
        (canary.release, [b for _, b in rates]),
    ]
    ends, words = [], []
    for release, shares in arms:
        css, letter = (release.css, release.letter) if release else ("c-other", "?")
        yield path([(x, panel.up(y)) for x, y in zip(at, shares, strict=True)], f"stroke p99 {css}")
        ends.append(panel.up(shares[-1]))
        words.append((f"{letter} {shares[-1] * 100:.2f} %", css))
    for y, (text, css) in zip(spread(ends), words, strict=True):
        yield label((RIGHT + 8, y + 4), text, f"letter-end {css}")


def _times(panel: Panel) -> Iterator[str]:
    for tick in time_ticks(panel.across.high):
        yield label((panel.across(tick), panel.bottom + 20), clock(tick), "tick", "middle")


def _decision(last: Panel, canary: CanaryView) -> Iterator[str]:
    if canary.ended is None:
        return
    x = last.across(min(canary.ended - canary.began, last.across.high))
    kind, words = ("rollback", "taken back") if canary.taken_back else ("switch", "promoted")
    yield line((x, 28.0), (x, last.bottom), f"mark {kind}")
    after = f"{words} after {canary.ended - canary.began:.1f} s"
    yield label((min(x, RIGHT), 20.0), after, f"decided {kind}", "end")


def _css(cls: str, canary: CanaryView) -> str:
    return f"{cls} {canary.release.css}"


def _words(canary: CanaryView) -> str:
    steps = ", ".join(
        f"{step.percent:g} % from {clock(step.at - canary.began)}" for step in canary.steps
    )
    e = f" The last e-value is {canary.looks[-1].e:.3g}." if canary.looks else ""
    return f"{steps}.{e} {canary.reason}"
