"""What follows from an analysis. Pure: declaration, analysis and readings in, a decision out.

A variant is promoted only if the units were split as they should be, the primary metric's interval
excludes zero (or, where it need not be better, harm beyond its margin), every guardrail's excludes
harm beyond its margin, the cycle and the minimum of units are complete, and no rollout's alarm is
active. A wrong split stops the test. Everything else is a person's, once it cannot get better by
waiting. "No difference shown" never promotes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from triune.core.spans import span
from triune.delivery.abtest.findings import Analysis, Compared, Finding
from triune.delivery.abtest.model import Better, Declaration, Method, Role
from triune.delivery.abtest.readings import Readings
from triune.delivery.rollout.verdict import Verdict


class Action(StrEnum):
    """What follows from a look."""

    CONTINUE = "continue"
    PROMOTE = "promote"
    STOP = "stop"
    ASK = "ask"


ACTIONS: Mapping[Action, str] = {
    Action.CONTINUE: "Units go on being exposed; the next look decides again.",
    Action.PROMOTE: "The variant becomes what everybody gets, through a rollout.",
    Action.STOP: "The test ends without a result; control stays.",
    Action.ASK: "A person decides; until then nothing changes.",
}

_DAY = 86_400.0
GOOD = (Finding.BETTER, Finding.NOT_WORSE)


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, what follows, for which variant, and why in words.

    ``lacking`` is everything that stands between the test and a promotion, in words.
    """

    verdict: Verdict
    action: Action
    reason: str
    variant: str | None = None
    lacking: tuple[str, ...] = ()


def decide(declaration: Declaration, analysis: Analysis, readings: Readings) -> Decision:
    """The decision after a look."""
    if analysis.ratio.blocked:
        return Decision(Verdict.FAIL, Action.STOP, _split(analysis))
    harmed = _harmed(declaration, analysis)
    if declaration.candidates and len(harmed) == len(declaration.candidates):
        return Decision(Verdict.FAIL, Action.ASK, "; ".join(harmed.values()))
    waits = _waits(declaration, analysis, readings)
    good = [v.name for v in declaration.candidates if not _lacks(declaration, analysis, v.name)]
    if good and not waits:
        best = _best(declaration, analysis, good)
        return Decision(Verdict.PASS, Action.PROMOTE, _why(declaration, analysis, best), best)
    lacking = waits + tuple(
        words
        for variant in declaration.candidates
        for words in _lacks(declaration, analysis, variant.name)
    )
    over = _over(declaration, analysis)
    if over:
        reason = f"{over} without a promotion: {'; '.join(lacking)}"
        return Decision(Verdict.NOT_YET, Action.ASK, reason, lacking=lacking)
    return Decision(Verdict.NOT_YET, Action.CONTINUE, "; ".join(lacking), lacking=lacking)


def _split(analysis: Analysis) -> str:
    counts = ", ".join(
        f"{name} has {n} units instead of {analysis.ratio.expected[name]:.0f}"
        for name, n in analysis.ratio.counts.items()
    )
    return (
        f"the units are not split as they should be ({counts}; p = {analysis.ratio.p:.2g}), so the "
        "variants cannot be compared"
    )


def _harmed(declaration: Declaration, analysis: Analysis) -> dict[str, str]:
    """The variants that are shown to do harm beyond a margin, in words."""
    found: dict[str, list[str]] = {}
    for row in analysis.comparisons:
        limited = declaration.held_to_margin(declaration.metric(row.metric))
        if limited and row.finding is Finding.WORSE:
            found.setdefault(row.variant, []).append(row.metric)
    return {
        variant: f"{variant} makes {' and '.join(metrics)} worse by more than the margin"
        for variant, metrics in found.items()
    }


def _waits(declaration: Declaration, analysis: Analysis, readings: Readings) -> tuple[str, ...]:
    """What no variant can be promoted without."""
    found = []
    needed = declaration.minimum_units
    if declaration.method is Method.FIXED:
        needed = declaration.planned_units
    if analysis.units < needed:
        found.append(f"{analysis.units} of {needed} units in the smallest arm")
    if analysis.days < declaration.cycle_days:
        found.append(f"{span(analysis.days * _DAY)} of {span(declaration.cycle_days * _DAY)}")
    if not analysis.due:
        found.append("the next planned look has not come")
    if readings.alarm:
        found.append(f"an alarm is active: {readings.alarm}")
    return tuple(found)


def _lacks(declaration: Declaration, analysis: Analysis, variant: str) -> list[str]:
    """What stands between a variant and a promotion; empty: nothing."""
    found = []
    for row in analysis.comparisons:
        if row.variant != variant or row.role is Role.SECONDARY:
            continue
        if row.finding not in GOOD or (row.role is Role.PRIMARY and not _enough(declaration, row)):
            found.append(f"{variant}: {_state(declaration, row)}")
    return found


def _enough(declaration: Declaration, row: Compared) -> bool:
    return declaration.non_inferior or row.finding is Finding.BETTER


def _state(declaration: Declaration, row: Compared) -> str:
    if row.finding is Finding.NOT_YET:
        return f"{row.metric} cannot be judged yet ({row.waits})"
    if not declaration.held_to_margin(declaration.metric(row.metric)):
        words = "is worse" if row.finding is Finding.WORSE else "shows no difference"
        return f"{row.metric} {words}"
    if row.finding is Finding.WORSE:
        return f"{row.metric} is worse by more than its margin"
    waits = f" ({row.waits})" if row.waits else ""
    return f"{row.metric} may still be worse by more than its margin{waits}"


def _best(declaration: Declaration, analysis: Analysis, good: Sequence[str]) -> str:
    """Of several the one with the best estimate; not that it is proven to be better than they."""
    metric = declaration.primary
    sign = 1.0 if metric.better is Better.HIGHER else -1.0

    def gain(variant: str) -> float:
        difference = analysis.of(metric.name, variant).difference
        return sign * difference.value if difference else 0.0

    return max(good, key=gain)


def _why(declaration: Declaration, analysis: Analysis, variant: str) -> str:
    metric = declaration.primary.name
    guards = [m.name for m in declaration.metrics if m.role is Role.GUARDRAIL]
    safe = f", and {' and '.join(guards)} not worse than allowed" if guards else ""
    shown = "not worse than its margin" if declaration.non_inferior else "better than control"
    return (
        f"{variant} is {shown} by {metric}{safe}, after {analysis.units} units in the smallest arm "
        f"in {span(analysis.days * _DAY)}"
    )


def _over(declaration: Declaration, analysis: Analysis) -> str:
    """Why waiting any longer does not help; empty while it may."""
    if analysis.days >= declaration.longest_days:
        return f"{declaration.longest_days:g} days are over"
    if analysis.units >= declaration.planned_units and analysis.days >= declaration.cycle_days:
        return f"the planned {declaration.planned_units} units an arm are reached"
    return ""
