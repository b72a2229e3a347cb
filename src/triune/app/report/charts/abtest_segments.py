"""An A/B test's effect in every segment, judged together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triune.app.report.charts.abtest_effect import shown, words_of
from triune.app.report.charts.scale import Scale, ticks
from triune.app.report.charts.svg import WIDTH, drawing, el, label, line
from triune.delivery.abtest.findings import Compared, Estimate, Finding

LEFT, RIGHT, ROW, TOP = 210.0, WIDTH - 330.0, 30.0, 34.0
WIDEST = 4.0
"""Ends further out than so many times the largest effect or middling interval are cut off."""


def draw(rows: Sequence[Compared], variants: Sequence[str]) -> str:
    """A dot and an interval for each segment and variant, and what is shown once all of them are
    judged together. Empty without any. ``variants`` fixes the colours."""
    relative = all(row.relative is not None for row in rows if row.difference is not None)
    found = [(row, shown(row, relative)) for row in rows]
    known = [estimate for _, estimate in found if estimate is not None]
    if not known:
        return ""
    across = _across(known)
    bottom = TOP + ROW * len(found)
    parts = list(_grid(across, bottom, relative=relative))
    for place, row in enumerate(rows):
        css = f"c{variants.index(row.variant) % 8}" if row.variant in variants else "c-other"
        y = TOP + ROW * (place + 0.5)
        parts += _row(row, y, across, css, relative=relative)
    name = rows[0].metric
    told = "; ".join(
        f"{row.segment} {row.variant} {words_of(e, relative)}: {row.finding.value}"
        for row, e in found
        if e is not None
    )
    return drawing(
        bottom + 32.0, *parts, title=f"The effect on {name} by segment", words=f"{told}."
    )


def _across(known: Sequence[Estimate]) -> Scale:
    halves = sorted(
        max(abs(end - e.value) for end in (e.low, e.high) if end is not None)
        for e in known
        if e.low is not None or e.high is not None
    )
    middling = halves[len(halves) // 2] if halves else 0.0
    reach = max([middling * WIDEST / 2.0, *(abs(e.value) * 1.5 for e in known)]) or 1.0
    return Scale(-reach, reach, LEFT, RIGHT)


def _grid(across: Scale, bottom: float, *, relative: bool) -> Iterator[str]:
    for tick in ticks(across.low, across.high, 6):
        x = across(tick)
        yield line((x, TOP), (x, bottom), "base" if tick == 0.0 else "grid")
        words = f"{tick * 100:+.3g} %" if relative else f"{tick:+.3g}"
        yield label((x, bottom + 20), "0" if tick == 0.0 else words, "tick", "middle")


def _row(row: Compared, y: float, across: Scale, css: str, *, relative: bool) -> Iterator[str]:
    found = shown(row, relative)
    yield label((0, y + 4), f"{row.segment}, {row.variant}", "value")
    yield label((RIGHT + 190, y + 4), f"{row.n_control + row.n_candidate:,} units", "tick")
    if found is None:
        yield label((RIGHT + 18, y + 4), row.waits or "nothing to compare", "tick")
        return

    def at(value: float | None, otherwise: float) -> float:
        return across(min(max(otherwise if value is None else value, across.low), across.high))

    if found.low is not None or found.high is not None:
        left, right = at(found.low, across.low), at(found.high, across.high)
        yield line((left, y), (right, y), f"bar {css}")
    p = "" if row.p_adjusted is None else f", adjusted p = {row.p_adjusted:.2g}"
    hover = el("title", text=f"{row.segment}, {row.variant}: {words_of(found, relative)}{p}")
    filled = row.finding in (Finding.BETTER, Finding.WORSE)
    kind = "fill ring" if filled else "hollow"
    yield el("circle", hover, cx=at(found.value, 0.0), cy=y, r=6, cls=f"{kind} {css}")
    sign = f" · {row.finding.value}" if filled else ""
    value = f"{found.value:+.1%}" if relative else f"{found.value:+.3g}"
    yield label((RIGHT + 18, y + 4), f"{value}{sign}", "value")
