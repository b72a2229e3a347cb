"""From the cells of two variants to the arms that are compared: one estimator for each kind.

Also what is still missing before an estimate may be read: what is missing is `not yet`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.model import Kind, Metric
from triune.stats import cuped, quantile_effect, ratio_metric
from triune.stats.asymptotic import BurnIn
from triune.stats.effect import Arm
from triune.stats.log_bins import LogBins

BURN_IN = BurnIn(blocks=0)
"""100 units and 20 events in the smaller arm."""

CERTAIN = 4.0
"""A number that something is divided by must be so many standard errors away from 0."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Control and candidate, as compared; their plain values; the share of the variance that CUPED
    leaves."""

    control: Arm
    candidate: Arm
    plain: tuple[float, float]
    noise_left: float = 1.0


def missing(metric: Metric, control: Cell, candidate: Cell) -> str:
    """What must come before the metric may be read, in words; empty: nothing."""
    smaller = min(control.n, candidate.n)
    if smaller < BURN_IN.units:
        return f"{smaller} of at least {BURN_IN.units} units in the smaller arm"
    if metric.kind is Kind.COUNT and few_events(metric, control, candidate):
        return f"fewer than {BURN_IN.events} events in an arm"
    if metric.kind is Kind.QUANTILE:
        return _missing_tail(metric, smaller)
    if metric.kind is Kind.RATIO and not all(_divisible(cell) for cell in (control, candidate)):
        return "the denominator is not yet clearly away from 0"
    same = not any(cell.summary().cov[0, 0] > 0.0 for cell in (control, candidate))
    if same and metric.kind is not Kind.PROPORTION:
        return "all units have the same value so far"
    return ""


def few_events(metric: Metric, control: Cell, candidate: Cell) -> bool:
    """Of rare things it is how often they happened that counts, not how many units there are."""
    return any(_events(metric, cell) < BURN_IN.events for cell in (control, candidate))


def _events(metric: Metric, cell: Cell) -> int:
    happened = round(float(cell.summary().mean[0]) * cell.n)
    return happened if metric.kind is Kind.COUNT else min(happened, cell.n - happened)


def _missing_tail(metric: Metric, smaller: int) -> str:
    q = metric.quantile or 0.5
    needed = math.ceil(BURN_IN.events / min(q, 1.0 - q))
    return "" if smaller >= needed else f"{smaller} of {needed} units that the quantile needs"


def _divisible(cell: Cell) -> bool:
    summary = cell.summary()
    error = math.sqrt(float(summary.cov[1, 1]) / max(summary.n, 1))
    return abs(float(summary.mean[1])) > CERTAIN * error


def pair(metric: Metric, control: Cell, candidate: Cell) -> Pair:
    """Both arms. Raises ValueError when `missing` had something to say."""
    if metric.kind is Kind.QUANTILE:
        arms = [_quantile(metric, cell.bins or LogBins()) for cell in (control, candidate)]
        return Pair(arms[0], arms[1], (arms[0].value, arms[1].value))
    summaries = control.summary(), candidate.summary()
    a, b = (_plain(metric, cell) for cell in (control, candidate))
    if metric.covariate is None:
        return Pair(a, b, (a.value, b.value))
    adjusted_a, adjusted_b = cuped.adjusted(*summaries)
    before = a.variance / a.n + b.variance / b.n
    after = adjusted_a.variance / a.n + adjusted_b.variance / b.n
    return Pair(adjusted_a, adjusted_b, (a.value, b.value), after / before if before else 1.0)


def _plain(metric: Metric, cell: Cell) -> Arm:
    summary = cell.summary()
    return (
        ratio_metric.ratio(summary.columns(0, 1))
        if metric.kind is Kind.RATIO
        else (Arm.of_mean(summary))
    )


def _quantile(metric: Metric, bins: LogBins) -> Arm:
    """From the histogram, by the ranks that hold the quantile with 95 %."""
    n, q = bins.n, metric.quantile or 0.5
    reach = quantile_effect.Z * math.sqrt(n * q * (1.0 - q))
    low, middle, high = (bins.at_rank(rank) for rank in (n * q - reach, n * q, n * q + reach))
    return quantile_effect.quantile(n, middle, low, high)
