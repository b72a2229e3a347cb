"""From a declaration and what was seen to an analysis of every metric and variant. Pure.

- Each variant is compared with control at ``alpha / (arms - 1)``. The primary metric is judged at
  that level by its interval; the goals together, it and the secondary metrics, by Holm or
  Benjamini-Hochberg; guardrails, and a primary metric that must not be worse, by one-sided bounds
  against their margins, each at that level, as all of them must hold.
- The error of a sequential or group-sequential comparison is never smaller than under one common
  variance of both arms (`triune.stats.effect.evened`), so that a small arm that has not
  seen the rare large values yet is not trusted.
- What is missing is `NOT_YET`, with what is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from triune.delivery.abtest.comparing import Look, by_sign, compare
from triune.delivery.abtest.findings import Analysis, Compared, Finding, UnitRatio
from triune.delivery.abtest.judging import Judge
from triune.delivery.abtest.model import Declaration, Method, Multiplicity, Role, Variant
from triune.delivery.abtest.readings import Memory, Readings
from triune.stats import multiple, sample_ratio


def analyse(declaration: Declaration, readings: Readings, memory: Memory | None = None) -> Analysis:
    """The analysis of all units; ``memory`` is that of the look before, None at the first."""
    before = memory or Memory()
    units = min(readings.exposed.get(v.name, 0) for v in declaration.variants)
    due, fractions = _due(declaration, units, readings.days, before)
    ratio, state = _unit_ratio(declaration, readings, before)
    alpha = _alpha(declaration)
    found: list[Compared] = []
    for variant in declaration.candidates:
        judge = _judge(declaration, variant, fractions)
        look = Look(declaration, judge, readings.cells, due=due)
        rows = [compare(look, metric, variant.name) for metric in declaration.metrics]
        if declaration.method is not Method.FIXED:
            rows = [_smallest(row, before) for row in rows]
        found += _together(declaration, alpha, rows)
    ps = {**before.p, **{_key(c): c.p for c in found if c.p is not None}}
    return Analysis(
        ratio=ratio,
        comparisons=tuple(found),
        alpha=alpha,
        units=units,
        days=readings.days,
        due=due,
        memory=Memory(state, ps, fractions, before.looks + 1),
    )


def by_segment(
    declaration: Declaration, readings: Readings, metric: str, *, due: bool = True
) -> tuple[Compared, ...]:
    """One metric, each variant and segment against control in the same segment.

    ``p_adjusted`` is Holm's among all of them, at the test's alpha: looking at many segments finds
    nothing by chance. Sequential p-values are those of this look.
    """
    wanted = declaration.metric(metric)
    segments = sorted({key.segment for key in readings.cells if key.metric == metric} - {""})
    rows = []
    for variant in declaration.candidates:
        judge = _judge(declaration, variant, (1.0,))
        look = Look(declaration, judge, readings.cells, due=due, margins=False)
        rows += [compare(look, wanted, variant.name, segment) for segment in segments]
    adjusted = iter(multiple.holm([row.p for row in rows if row.p is not None]))
    found = []
    for row in rows:
        if row.p is None or row.difference is None:
            found.append(row)
            continue
        p = next(adjusted)
        shown = p <= declaration.alpha
        finding = by_sign(wanted, row.difference.value) if shown else Finding.OPEN
        found.append(replace(row, p_adjusted=p, finding=finding))
    return tuple(found)


def _due(
    declaration: Declaration, units: int, days: float, before: Memory
) -> tuple[bool, tuple[float, ...]]:
    """Whether this look may judge, and the information fractions of all looks that did."""
    fraction = min(1.0, units / declaration.planned_units)
    if declaration.method is Method.SEQUENTIAL:
        return True, ()
    if declaration.method is Method.FIXED:
        return fraction >= 1.0 and days >= declaration.cycle_days, ()
    past = before.fractions
    if past and past[-1] >= 1.0:
        return True, past
    if len(past) < declaration.looks and fraction >= (len(past) + 1) / declaration.looks:
        return True, (*past, fraction)
    return False, past


def _unit_ratio(
    declaration: Declaration, readings: Readings, before: Memory
) -> tuple[UnitRatio, sample_ratio.SampleRatio]:
    shares = declaration.shares
    counts = {name: readings.exposed.get(name, 0) for name in shares}
    numbers, parts = list(counts.values()), list(shares.values())
    state = sample_ratio.step(before.ratio, numbers, parts)
    total, all_of_it = sum(numbers), sum(parts)
    expected = {name: total * share / all_of_it for name, share in shares.items()}
    return UnitRatio(counts, expected, state.p, sample_ratio.chi_square(numbers, parts)), state


def _alpha(declaration: Declaration) -> float:
    return declaration.alpha / max(1, len(declaration.candidates))


def _judge(declaration: Declaration, variant: Variant, fractions: tuple[float, ...]) -> Judge:
    """The planned units are those of the smallest arm; the others have more by their shares."""
    shares = declaration.shares
    both = shares[declaration.control] + variant.share
    return Judge(
        method=declaration.method,
        alpha=_alpha(declaration),
        planned=declaration.planned_units * both / min(shares.values()),
        fractions=fractions,
    )


def _smallest(row: Compared, before: Memory) -> Compared:
    """With the smallest p-value of all looks, which is valid at any time."""
    past = before.p.get(_key(row))
    if past is None:
        return row
    return replace(row, p=past if row.p is None else min(row.p, past))


def _together(declaration: Declaration, alpha: float, rows: Sequence[Compared]) -> list[Compared]:
    """Goals judged together. The primary metric's finding is its interval's."""
    goals = [row for row in rows if row.role is not Role.GUARDRAIL]
    ps = [1.0 if row.p is None else row.p for row in goals]
    holm = declaration.multiplicity is Multiplicity.HOLM
    adjusted = multiple.holm(ps) if holm else multiple.benjamini_hochberg(ps)
    values = {_key(row): p for row, p in zip(goals, adjusted, strict=True) if row.p is not None}
    found = []
    for row in rows:
        p = values.get(_key(row))
        finding = row.finding
        if row.role is Role.SECONDARY and finding is not Finding.NOT_YET:
            finding = _of_goal(declaration, row, shown=p is not None and p <= alpha)
        found.append(replace(row, p_adjusted=p, finding=finding))
    return found


def _of_goal(declaration: Declaration, row: Compared, *, shown: bool) -> Finding:
    if not shown or row.difference is None:
        return Finding.OPEN
    return by_sign(declaration.metric(row.metric), row.difference.value)


def _key(row: Compared) -> str:
    return f"{row.metric}/{row.variant}"
