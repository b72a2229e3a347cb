"""The loop's steps, one after another, each as long as it took."""

from __future__ import annotations

from collections.abc import Sequence

from triune.app.report.charts.scale import Scale, clock, time_ticks
from triune.app.report.charts.svg import WIDTH, drawing, el, label, line
from triune.app.report.facts import StepFact

LEFT, RIGHT, ROW, TOP = 120.0, WIDTH - 70.0, 26.0, 8.0


def draw(steps: Sequence[StepFact]) -> str:
    """A row for each step; the bar begins where the step before it ended."""
    if not steps:
        return ""
    whole = sum(step.seconds for step in steps)
    across = Scale(0.0, max(whole, 0.1), LEFT, RIGHT)
    bottom = TOP + ROW * len(steps)
    parts = []
    for tick in time_ticks(whole):
        parts.append(line((across(tick), TOP), (across(tick), bottom), "grid"))
        parts.append(label((across(tick), bottom + 18), clock(tick), "tick", "middle"))
    begin = 0.0
    for row, step in enumerate(steps):
        y, end = TOP + ROW * row, begin + step.seconds
        parts.append(label((LEFT - 10, y + 18), step.name, "value", "end"))
        parts.append(
            el(
                "rect",
                el("title", text=f"{step.sentence} {step.seconds:.1f} s"),
                x=across(begin),
                y=y + 5,
                width=max(across(end) - across(begin), 2.0),
                height=ROW - 10,
                rx=3,
                cls="fill step",
            )
        )
        after = across(end) + 6
        parts.append(label((after, y + 18), f"{step.seconds:.1f} s", "tick"))
        begin = end
    words = "; ".join(f"{step.name} {step.seconds:.1f} s" for step in steps)
    return drawing(bottom + 28, *parts, title="How long each step took", words=words)
