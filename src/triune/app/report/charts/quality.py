"""How well each release told what would happen, and each run on the days it held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triune.app.report.charts.scale import Scale, spread, ticks
from triune.app.report.charts.svg import WIDTH, Point, drawing, el, label, line, path
from triune.app.report.model import ReleaseView, RunView

LEFT, RIGHT, ROW, TOP = 210.0, WIDTH - 190.0, 46.0, 34.0


def areas(releases: Sequence[ReleaseView]) -> str:
    """AUC on live traffic: a dot, its 95 % interval, and how many outcomes it rests on.

    A ring shows what the release's run measured on the days it held out.
    """
    shown = [(release, release.area) for release in releases if release.area]
    if not shown:
        return ""
    lows = [area.low if area.low is not None else area.value for _, area in shown]
    highs = [area.high if area.high is not None else area.value for _, area in shown]
    held_out = [release.held_out for release, _ in shown if release.held_out is not None]
    low, high = min(0.5, *lows, *held_out), max(0.75, *highs, *held_out)
    across = Scale(low - 0.005, high + 0.005, LEFT, RIGHT)
    bottom = TOP + ROW * len(shown)
    parts = list(_columns(across, bottom))
    for row, (release, area) in enumerate(shown):
        y = TOP + ROW * (row + 0.5)
        parts.append(_who(release, y))
        if area.low is not None and area.high is not None:
            parts.append(line((across(area.low), y), (across(area.high), y), f"bar {release.css}"))
        if release.held_out is not None:
            words = f"{release.letter}: {release.held_out:.4f} on held-out days, in training"
            title, x = el("title", text=words), across(release.held_out)
            parts.append(el("circle", title, cx=x, cy=y, r=6, cls=f"hollow {release.css}"))
        hover = el("title", text=f"{release.letter}: {area.value:.4f}, {area.n} outcomes")
        parts.append(
            el("circle", hover, cx=across(area.value), cy=y, r=7, cls=f"fill ring {release.css}")
        )
        words = f"{area.value:.3f}"
        if area.low is not None:
            words += f"  [{area.low:.3f}, {area.high:.3f}]"
        parts.append(label((RIGHT + 18, y - 2), words, "value"))
        parts.append(label((RIGHT + 18, y + 15), f"{area.n:,} outcomes", "tick"))
    told = "; ".join(f"{r.letter} {a.value:.3f} of {a.n}" for r, a in shown)
    return drawing(
        bottom + 40, *parts, title="AUC by release on live traffic", words=f"AUC: {told}."
    )


def _columns(across: Scale, bottom: float) -> Iterator[str]:
    for tick in ticks(across.low, across.high, 6):
        x = across(tick)
        cls = "base" if tick == 0.5 else "grid"
        yield line((x, TOP), (x, bottom), cls)
        yield label((x, bottom + 20), f"{tick:.2f}", "tick", "middle")
    if across.low <= 0.5:
        yield label((across(0.5), TOP - 10), "chance", "tick", "middle")


def _who(release: ReleaseView, y: float) -> str:
    return el(
        "g",
        el("circle", cx=16, cy=y, r=13, cls=f"fill {release.css}"),
        label((16, y + 5), release.letter, "letter", "middle"),
        label((40, y - 2), release.training or release.ref, "value"),
        label((40, y + 15), release.model.partition(":")[2], "tick"),
    )


def lines(runs: Sequence[RunView], metric: str, words: str, *, step: str) -> str:
    """One metric over its steps, a line for each run with its letter at the end."""
    shown = [(run, run.history[metric]) for run in runs if len(run.history.get(metric, ())) > 1]
    if not shown:
        return ""
    every = [point for _, points in shown for point in points]
    steps, values = [s for s, _ in every], [v for _, v in every]
    room = (max(values) - min(values)) * 0.08 or 0.01
    left, right, top, bottom = 56.0, 470.0, 30.0, 210.0
    across = Scale(min(steps), max(steps), left, right)
    up = Scale(min(values) - room, max(values) + room, bottom, top)
    parts = []
    for tick in ticks(up.low, up.high, 4):
        parts.append(line((left, up(tick)), (right, up(tick)), "grid"))
        parts.append(label((left - 8, up(tick) + 4), f"{tick:.3g}", "tick", "end"))
    for tick in sorted(set(steps)):
        parts.append(label((across(tick), bottom + 20), str(tick), "tick", "middle"))
    parts.append(label((left, top - 12), words, "axis"))
    parts.append(label((right, bottom + 38), step, "axis", "end"))
    ends = spread([up(points[-1][1]) for _, points in shown])
    for (run, points), y in zip(shown, ends, strict=True):
        places: list[Point] = [(across(s), up(v)) for s, v in points]
        parts.append(path(places, f"stroke p99 {run.css}"))
        for (s, v), (x, place) in zip(points, places, strict=True):
            hover = el("title", text=f"{run.letter}, {step} {s}: {v:.4f}")
            parts.append(el("circle", hover, cx=x, cy=place, r=3.5, cls=f"fill ring {run.css}"))
        parts.append(label((right + 12, y + 4), run.letter, f"letter-end {run.css}"))
    return el(
        "svg",
        el("title", text=words),
        *parts,
        viewBox="0 0 500 252",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )
