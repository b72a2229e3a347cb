"""One metric of one variant against control, at one look. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from triune.delivery.abtest import arms, quantiles, rare
from triune.delivery.abtest.arms import CERTAIN, Pair
from triune.delivery.abtest.cell import Cell, CellKey
from triune.delivery.abtest.effects import Found, end
from triune.delivery.abtest.findings import Compared, Estimate, Finding
from triune.delivery.abtest.judging import Judge
from triune.delivery.abtest.model import Better, Declaration, Kind, Method, Metric
from triune.stats.comparison import Comparison, Side
from triune.stats.effect import Arm, absolute, evened, relative


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at, and how.

    ``due`` says whether the method allows a judgement now; ``margins`` whether guardrails are held
    against theirs or compared like the other metrics.
    """

    declaration: Declaration
    judge: Judge
    cells: Mapping[CellKey, Cell]
    due: bool = True
    margins: bool = True

    def cell(self, metric: Metric, variant: str, segment: str) -> Cell:
        """The units of a variant; without any, an empty cell."""
        return self.cells.get(CellKey(metric.name, variant, segment)) or Cell(metric)


def compare(look: Look, metric: Metric, variant: str, segment: str = "") -> Compared:
    """The comparison, with what is waited for when it cannot be made yet."""
    control = look.cell(metric, look.declaration.control, segment)
    candidate = look.cell(metric, variant, segment)
    row = Compared(
        metric=metric.name,
        variant=variant,
        role=metric.role,
        finding=Finding.NOT_YET,
        segment=segment,
        n_control=control.n,
        n_candidate=candidate.n,
        waits=arms.missing(metric, control, candidate),
    )
    if row.waits:
        return row
    pair = arms.pair(metric, control, candidate)
    row = replace(row, control=pair.plain[0], candidate=pair.plain[1], noise_left=pair.noise_left)
    if not look.due:
        known = Estimate(absolute(pair.control, pair.candidate).value)
        return replace(row, difference=known, waits="the next planned look")
    found = _found(look.judge, metric, pair, (control, candidate))
    row = replace(
        row,
        difference=_estimate(found.difference),
        relative=None if found.relative is None else _estimate(found.relative),
        p=found.difference.p,
    )
    if look.margins and look.declaration.held_to_margin(metric):
        return _against_margin(metric, row, found)
    shown = found.shown(look.judge.alpha)
    finding = by_sign(metric, found.difference.estimate) if shown else Finding.OPEN
    return replace(row, finding=finding)


def by_sign(metric: Metric, value: float) -> Finding:
    """Better or worse, for an effect that is shown."""
    return Finding.BETTER if (value > 0.0) is (metric.better is Better.HIGHER) else Finding.WORSE


def _found(judge: Judge, metric: Metric, pair: Pair, cells: tuple[Cell, Cell]) -> Found:
    if metric.kind is Kind.PROPORTION and arms.few_events(metric, *cells):
        return rare.compare(judge, *cells)
    if metric.kind is Kind.QUANTILE and judge.method is Method.SEQUENTIAL:
        return quantiles.compare(metric, judge, *cells)
    return _effects(judge, pair)


def _effects(judge: Judge, pair: Pair) -> Found:
    """Absolute and relative effect of two arms, each two-sided and from either side."""
    arms = pair.control, pair.candidate
    if judge.method is not Method.FIXED:
        arms = evened(*arms)
    difference = absolute(*arms)
    share = relative(*arms) if _away_from_zero(arms[0]) else None

    def one_sided(side: Side, null: float, absolutely: bool) -> Comparison | None:
        effect = difference if absolutely else share
        return None if effect is None else judge.compare(effect, side, null)

    return Found(
        difference=judge.compare(difference),
        relative=None if share is None else judge.compare(share),
        one_sided=one_sided,
    )


def _away_from_zero(control: Arm) -> bool:
    base = control.value if control.base is None else control.base
    variance = control.variance if control.base is None else control.base_variance
    return base != 0.0 and abs(base) > CERTAIN * math.sqrt(variance / control.n)


def _against_margin(metric: Metric, row: Compared, found: Found) -> Compared:
    """Harm beyond the margin is excluded, or shown, by a one-sided bound each."""
    higher = metric.better is Better.HIGHER
    null = -metric.margin if higher else metric.margin
    good, bad = (Side.GREATER, Side.LESS) if higher else (Side.LESS, Side.GREATER)
    clear = found.one_sided(good, null, metric.margin_absolute)
    harm = found.one_sided(bad, null, metric.margin_absolute)
    if clear is None or harm is None:
        return replace(row, p=None, waits="control is too near to 0 for a relative margin")
    low, high = (clear.low, harm.high) if higher else (harm.low, clear.high)
    bounds = Estimate(clear.estimate, end(low), end(high))
    finding = Finding.OPEN
    if clear.excludes(null):
        finding = Finding.NOT_WORSE
    elif harm.excludes(null):
        finding = Finding.WORSE
    judged = replace(row, p=clear.p, finding=finding)
    if metric.margin_absolute:
        return replace(judged, difference=bounds)
    return replace(judged, relative=bounds)


def _estimate(found: Comparison) -> Estimate:
    return Estimate(found.estimate, end(found.low), end(found.high))
