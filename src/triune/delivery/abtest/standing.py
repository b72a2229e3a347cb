"""How a test stands: its sums, what they say, what follows, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triune.delivery.abtest.decide import Decision
from triune.delivery.abtest.facts import ODD, Period
from triune.delivery.abtest.findings import Analysis
from triune.delivery.abtest.readings import Readings
from triune.delivery.abtest.runs import Run
from triune.delivery.abtest.stream import Position
from triune.delivery.abtest.tally import COUNTED

MOST_HOPPED = 0.01
"""Above this share of hopping units something assigns them anew, and the comparison is in doubt."""


@dataclass(frozen=True, slots=True)
class TestStanding:
    """A test at one moment. ``period`` is None while its candidate has not got its units yet;
    ``troubles`` are sentences."""

    __test__ = False

    run: Run
    period: Period | None
    counts: Mapping[str, int]
    position: Position
    readings: Readings
    analysis: Analysis
    decision: Decision
    troubles: tuple[str, ...] = ()


def of_counts(counts: Mapping[str, int], position: Position) -> list[str]:
    """What the counts say is wrong."""
    found = [f"{n} {ODD[why]}" for why, n in position.odd.items()]
    if position.future:
        found.append(
            f"{position.future} events are dated in the future: they count when their time comes; "
            "look at the clocks of those who wrote them"
        )
    units, hopped = counts.get("units", 0), counts.get("hopped", 0)
    if hopped > MOST_HOPPED * units:
        found.append(
            f"{hopped} of {units} units saw more than one variant: something assigns them anew"
        )
    if counts.get("early", 0):
        found.append(f"{counts['early']} {COUNTED['early']}")
    return found
