"""A test in sentences that a product person understands. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from triune.delivery.abtest.decide import Action, Decision
from triune.delivery.abtest.findings import Analysis, Compared, Estimate, Finding
from triune.delivery.abtest.model import Declaration, Kind, Method, Metric, Role
from triune.delivery.abtest.readings import Readings


def explain(
    declaration: Declaration, analysis: Analysis, decision: Decision, readings: Readings
) -> list[str]:
    """What was tested, what came of it, how sure that is, and what was learned anyway."""
    return [
        *_outcome(declaration, decision),
        *_primary(declaration, analysis),
        *_others(declaration, analysis),
        *_learned(declaration, analysis),
        *_caveats(declaration, analysis, decision, readings),
    ]


def sentence(declaration: Declaration, row: Compared) -> str:
    """One comparison in one sentence."""
    metric = declaration.metric(row.metric)
    what = f"{row.metric} with {row.variant}"
    if row.segment:
        what += f" in {row.segment}"
    if row.finding is Finding.NOT_YET:
        return f"{what} cannot be judged yet: {row.waits}."
    return f"{what} is {_values(metric, row)}: {_judgement(declaration, metric, row)}."


def _outcome(declaration: Declaration, decision: Decision) -> Iterator[str]:
    reason = decision.reason
    match decision.action:
        case Action.PROMOTE:
            yield f"{decision.variant} won the test {declaration.name}: {reason}."
        case Action.STOP:
            yield f"The test {declaration.name} was stopped: {reason}."
        case Action.ASK:
            yield f"The test {declaration.name} needs a person's decision: {reason}."
        case Action.CONTINUE:
            yield f"The test {declaration.name} goes on: {reason}."


def _primary(declaration: Declaration, analysis: Analysis) -> Iterator[str]:
    for row in analysis.comparisons:
        if row.role is Role.PRIMARY:
            yield _capital(sentence(declaration, row))


def _others(declaration: Declaration, analysis: Analysis) -> Iterator[str]:
    for role in (Role.GUARDRAIL, Role.SECONDARY):
        for row in analysis.comparisons:
            if row.role is role:
                yield _capital(sentence(declaration, row))


def _values(metric: Metric, row: Compared) -> str:
    if row.control is None or row.candidate is None:
        return "unknown"
    told = f"{_number(metric, row.candidate)} against {_number(metric, row.control)}"
    shown = row.shown
    if shown is None:
        return told
    relative = row.relative is not None
    return f"{told}, {_range(shown, relative=relative)}"


def _range(found: Estimate, *, relative: bool) -> str:
    def words(value: float) -> str:
        return f"{value:+.1%}" if relative else f"{value:+.3g}"

    if found.low is None and found.high is None:
        return words(found.value)
    if found.high is None and found.low is not None:
        return f"{words(found.value)} (at least {words(found.low)})"
    if found.low is None and found.high is not None:
        return f"{words(found.value)} (at most {words(found.high)})"
    assert found.low is not None
    assert found.high is not None
    return f"{words(found.value)} (between {words(found.low)} and {words(found.high)})"


def _judgement(declaration: Declaration, metric: Metric, row: Compared) -> str:
    margin = f"{metric.margin:g}" if metric.margin_absolute else f"{metric.margin:.1%}"
    limited = declaration.held_to_margin(metric)
    match row.finding:
        case Finding.BETTER:
            return "better than control"
        case Finding.NOT_WORSE:
            return f"not worse than control by more than {margin}"
        case Finding.WORSE if limited:
            return f"worse than control by more than the tolerated {margin}"
        case Finding.WORSE:
            return "worse than control"
        case _ if limited:
            return f"harm beyond {margin} is not yet excluded"
        case _:
            return "no difference is shown, which does not show that there is none"


def _learned(declaration: Declaration, analysis: Analysis) -> Iterator[str]:
    """What an interval that shows nothing still excludes."""
    for row in analysis.comparisons:
        if row.role is not Role.PRIMARY or row.finding is not Finding.OPEN:
            continue
        found = row.shown
        if found is None or found.low is None or found.high is None:
            continue
        relative = row.relative is not None
        low, high = (f"{x:+.1%}" if relative else f"{x:+.3g}" for x in (found.low, found.high))
        yield (
            f"Learned anyway: whatever {row.variant} does to {row.metric}, it is not below {low} "
            f"nor above {high} (with {1 - analysis.alpha:.1%} confidence)."
        )
        least = declaration.metric(row.metric).minimum_effect
        if least is not None and relative and -least < found.low and found.high < least:
            yield f"An effect of {least:.1%}, the smallest worth knowing, is excluded either way."


def _caveats(
    declaration: Declaration, analysis: Analysis, decision: Decision, readings: Readings
) -> Iterator[str]:
    found = any(row.finding in (Finding.BETTER, Finding.WORSE) for row in analysis.comparisons)
    early = declaration.method is not Method.FIXED
    if early and (found or decision.action is Action.PROMOTE):
        yield (
            "A test that stops when it sees a difference sees it rather too large: take the effect "
            "for the nearer end of its interval rather than for its estimate."
        )
    for row in analysis.comparisons:
        if row.role is Role.PRIMARY and row.noise_left < 0.99:
            saved = 1.0 - sqrt(row.noise_left)
            yield (
                f"What was known of the units before makes the interval of {row.metric} with "
                f"{row.variant} {saved:.0%} narrower."
            )
    total = sum(readings.exposed.values())
    if readings.hopped:
        yield f"{readings.hopped} of {total} units saw more than one variant."
    several = len(declaration.candidates)
    if several > 1:
        yield (
            f"Each of the {several} variants is compared with control at {analysis.alpha:.3g}, so "
            f"that all of them together are wrong with a chance of at most {declaration.alpha:g}."
        )


def _number(metric: Metric, value: float) -> str:
    return f"{value:.2%}" if metric.kind is Kind.PROPORTION else f"{value:.4g}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
