"""The time axis of an A/B test's drawings."""

from __future__ import annotations

from collections.abc import Iterator

from triune.app.report.charts.scale import Scale, number, ticks
from triune.app.report.charts.svg import label

_UNITS = (("days", 1.0), ("hours", 24.0), ("minutes", 1440.0), ("seconds", 86_400.0))


def since_the_first(across: Scale, bottom: float) -> Iterator[str]:
    """Ticks and words below a drawing whose scale is in days, in the unit that fits its length."""
    unit, a_day = next((u for u in _UNITS if across.high * u[1] >= 2.0), _UNITS[-1])
    for tick in ticks(0.0, across.high * a_day, 8):
        yield label((across(tick / a_day), bottom + 20), number(tick), "tick", "middle")
    middle = (across(0.0) + across(across.high)) / 2
    words = f"{unit} since the first exposure"
    yield label((middle, bottom + 38), words, "tick", "middle")
