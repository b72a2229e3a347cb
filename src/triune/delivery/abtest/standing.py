"""How a test stands: its sums, what they say, what follows, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triune.delivery.abtest.decide import Action, Decision
from triune.delivery.abtest.explain import explain
from triune.delivery.abtest.facts import ODD, Period
from triune.delivery.abtest.findings import Analysis
from triune.delivery.abtest.readings import Readings
from triune.delivery.abtest.runs import Run
from triune.delivery.abtest.stream import Position
from triune.delivery.abtest.tally import COUNTED
from triune.delivery.rollout.verdict import Verdict

MOST_HOPPED = 0.01
"""Above this share of hopping units something assigns them anew, and the comparison is in doubt."""


@dataclass(frozen=True, slots=True)
class TestStanding:
    """A test at one moment. ``period`` is None while its candidate has not got its units yet;
    ``decision`` is what it was ended with, else what follows now; ``troubles`` are sentences."""

    __test__ = False

    run: Run
    period: Period | None
    counts: Mapping[str, int]
    position: Position
    readings: Readings
    analysis: Analysis
    decision: Decision
    troubles: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """What a product person is told, see `triune.delivery.abtest.explain`."""
        return explain(self.run.declaration, self.analysis, self.decision, self.readings)


def decided(run: Run) -> Decision | None:
    """The decision that a run was ended with; None while it has none."""
    if not run.verdict:
        return None
    action = Action.PROMOTE if run.winner else Action.STOP
    return Decision(Verdict(run.verdict), action, run.why, run.winner)


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
