"""How many units an A/B test exposed over time, and whether they were split as they should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt

from triune.app.report.charts.abtest_time import since_the_first
from triune.app.report.charts.scale import Scale, number, spread, ticks
from triune.app.report.charts.svg import WIDTH, Point, drawing, label, line, path
from triune.delivery.abtest.findings import RATIO_ALPHA, Analysis
from triune.delivery.abtest.model import Declaration

LEFT, RIGHT, TOP, HEIGHT = 66.0, WIDTH - 150.0, 34.0, 150.0
LEAST_P = 1e-9
"""p-values are drawn down to it."""
SCATTER = 4.0
"""The split is drawn at least so many standard deviations wide."""


def exposure(declaration: Declaration, analyses: Sequence[Analysis]) -> str:
    """Units of each variant over time, and how many are planned. Empty without any."""
    if not analyses or not sum(analyses[-1].ratio.counts.values()):
        return ""
    across = _across(analyses)
    most = max(*analyses[-1].ratio.counts.values(), declaration.planned_units)
    up = Scale(0.0, most * 1.05, TOP + HEIGHT, TOP)
    parts = [label((0, TOP - 14), "units exposed", "axis"), *_frame(across, up)]
    planned = up(declaration.planned_units)
    parts.append(line((LEFT, planned), (RIGHT, planned), "base"))
    parts.append(label((LEFT + 6, planned - 6), "planned in the smallest arm", "tick"))
    names = [v.name for v in declaration.variants]
    ends = spread([up(analyses[-1].ratio.counts[name]) for name in names], 18.0)
    for name, end in zip(names, ends, strict=True):
        points: list[Point] = [(LEFT, up(0.0))]
        points += [(across(a.days), up(a.ratio.counts[name])) for a in analyses]
        css = color(declaration, name)
        parts.append(path(points, f"stroke p99 {css}"))
        words = f"{name} {analyses[-1].ratio.counts[name]:,}"
        parts.append(label((RIGHT + 12, end + 5), words, f"letter-end {css}"))
    told = ", ".join(f"{name} {n}" for name, n in analyses[-1].ratio.counts.items())
    return drawing(
        TOP + HEIGHT + 42.0, *parts, title="Units exposed over time", words=f"Units: {told}."
    )


def split(declaration: Declaration, analyses: Sequence[Analysis]) -> str:
    """The p-value of the split over time, against the bar at which the test is stopped, and each
    variant's share over what it should be. Empty without units."""
    known = [a for a in analyses if sum(a.ratio.counts.values())]
    if not known:
        return ""
    across = _across(known)
    up = Scale(LEAST_P, 1.0, TOP + HEIGHT, TOP, logarithmic=True)
    parts = [label((0, TOP - 14), "p-value that the units are split as declared", "axis")]
    for power in (0, -3, -6, -9):
        y = up(10.0**power)
        parts.append(line((LEFT, y), (RIGHT, y), "grid"))
        parts.append(label((LEFT - 8, y + 4), "1" if power == 0 else f"1e{power}", "tick", "end"))
    bar = up(RATIO_ALPHA)
    parts.append(line((LEFT, bar), (RIGHT, bar), "limit"))
    parts.append(label((LEFT + 6, bar + 16), "below this nothing is concluded", "limit-text"))
    points: list[Point] = [(across(a.days), up(max(a.ratio.p, LEAST_P))) for a in known]
    parts.append(path([(LEFT, up(1.0)), *points], "stroke p99 c0"))
    parts.append(label((RIGHT + 12, points[-1][1] + 5), f"p = {known[-1].ratio.p:.2g}", "value"))
    top = TOP + HEIGHT + 44.0
    parts += _shares(declaration, known, across, top)
    parts += since_the_first(across, top + HEIGHT)
    ratio = known[-1].ratio
    told = ", ".join(f"{n} of {ratio.expected[name]:.0f}" for name, n in ratio.counts.items())
    return drawing(
        top + HEIGHT + 42.0,
        *parts,
        title="The split of the units over time",
        words=f"p = {ratio.p:.3g}; by chi-square at this look {ratio.chi_square:.3g}; {told}.",
    )


def color(declaration: Declaration, variant: str) -> str:
    """A variant's colour: control is grey, the candidates as in the other drawings."""
    names = [v.name for v in declaration.candidates]
    return f"c{names.index(variant) % 8}" if variant in names else "c-other"


def _across(analyses: Sequence[Analysis]) -> Scale:
    return Scale(0.0, max(a.days for a in analyses) or 1.0, LEFT, RIGHT)


def _frame(across: Scale, up: Scale) -> Iterator[str]:
    for tick in ticks(0.0, up.high, 4):
        yield line((LEFT, up(tick)), (RIGHT, up(tick)), "grid")
        yield label((LEFT - 8, up(tick) + 4), number(tick), "tick", "end")
    yield from since_the_first(across, up.begin)


def _shares(
    declaration: Declaration, known: Sequence[Analysis], across: Scale, top: float
) -> Iterator[str]:
    """Each variant's units over those it should have, less 1."""

    def off(analysis: Analysis, name: str) -> float:
        expected = analysis.ratio.expected[name]
        return analysis.ratio.counts[name] / expected - 1.0 if expected else 0.0

    names = [v.name for v in declaration.variants]
    fewest = min(known[-1].ratio.expected[name] for name in names) or 1.0
    last = max(abs(off(known[-1], name)) for name in names)
    reach = max(SCATTER / sqrt(fewest), last * 1.2)
    up = Scale(-reach, reach, top + HEIGHT, top)
    yield label((0, top - 14), "units beyond what was declared", "axis")
    for tick in ticks(-reach, reach, 4):
        yield line((LEFT, up(tick)), (RIGHT, up(tick)), "base" if tick == 0.0 else "grid")
        words = "0" if tick == 0.0 else f"{tick * 100:+.3g} %"
        yield label((LEFT - 8, up(tick) + 4), words, "tick", "end")
    ends = spread([up(off(known[-1], name)) for name in names], 18.0)
    for name, end in zip(names, ends, strict=True):
        points = [(across(a.days), up(min(max(off(a, name), -reach), reach))) for a in known]
        css = color(declaration, name)
        yield path(points, f"stroke p99 {css}")
        words = f"{name} {off(known[-1], name):+.2%}"
        yield label((RIGHT + 12, end + 5), words, f"letter-end {css}")
