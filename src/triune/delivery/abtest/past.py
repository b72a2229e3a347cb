"""What an endpoint's, or a flag's, past says of a test that has not begun: traffic and baselines.

The past is read as if everybody in it had been in control: the same facts, windows and folds as in
the test itself (`triune.delivery.abtest.backends.duckdb`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from triune.delivery.abtest.backends.duckdb import recomputed
from triune.delivery.abtest.cell import CellKey
from triune.delivery.abtest.facts import OBSERVED, Fact, Period, Reader, Saw, Told
from triune.delivery.abtest.model import Declaration, Kind, Metric
from triune.delivery.abtest.planning import Baseline, TestPlan, plan
from triune.delivery.abtest.ports import Log
from triune.delivery.accesslog import FAILED
from triune.ledger.ports import Stored
from triune.stats.ratio_metric import ratio
from triune.stats.summary import Summary

LONGEST_DAYS = 28.0
_DAY_US = 86_400_000_000
_SHORTEST_DAYS = 1 / 24


@dataclass(frozen=True, slots=True)
class Expected:
    """A plan, and what it was made from: units a day, each metric's value now, in words whence."""

    name: str
    plan: TestPlan
    units_a_day: float
    values: Mapping[str, float]
    source: str


@dataclass(frozen=True)
class _Everybody(Reader):
    """Reads all units as units of control: those that any release of the endpoint answered, or of
    a flag's test those of whom an outcome is known, from the first of them on."""

    def facts(self, stored: Stored) -> tuple[Fact, ...]:
        control = self.declaration.control
        payload, kind = stored.event.payload, stored.event.kind
        if kind == OBSERVED:
            return self._of_outcome(stored, control)
        if (
            self.declaration.endpoint is None
            or payload.get("endpoint") != self.declaration.endpoint
        ):
            return ()
        found = self._saw(stored, control, {**payload, "failed": kind == FAILED})
        return () if found is None else (found,)

    def _of_outcome(self, stored: Stored, control: str) -> tuple[Fact, ...]:
        found = super().facts(stored)
        if self.declaration.endpoint is not None:
            return found
        nothing = (None,) * len(self.slots)
        seen = [
            Saw(fact.unit, control, fact.at, fact.sequence, nothing)
            for fact in found
            if isinstance(fact, Told)
        ]
        return (*seen, *found)


def expected(log: Log, declaration: Declaration, now: int) -> Expected:
    """The plan of a test at the traffic of the last days."""
    days = min(max(declaration.cycle_days, 1.0), LONGEST_DAYS)
    period = Period(now - round(days * _DAY_US))
    quiet = replace(declaration, metrics=tuple(map(_without_covariate, declaration.metrics)))
    reader = _Everybody(quiet, "", {})
    exact = recomputed(log, reader, period, now)
    units = exact.exposed.get(declaration.control, 0)
    baselines = {
        metric.name: found
        for metric in declaration.metrics
        if (found := _baseline(metric, exact.summaries[CellKey(metric.name, declaration.control)]))
    }
    share = sum(v.share for v in declaration.variants) / 10_000
    if declaration.layer is not None:
        share *= declaration.layer.size / 10_000
    seen = days if exact.first_at is None else (now - exact.first_at) / _DAY_US
    rate = units / max(min(days, seen), _SHORTEST_DAYS) * share
    return Expected(
        name=declaration.name,
        plan=plan(declaration, baselines, rate),
        units_a_day=rate,
        values={name: found.value for name, found in baselines.items()},
        source=f"{units} units in the last {min(days, seen):.1f} days",
    )


def _without_covariate(metric: Metric) -> Metric:
    return replace(metric, covariate=None, covariate_denominator=None)


def _baseline(metric: Metric, summary: Summary) -> Baseline | None:
    """A metric's value and a unit's variance; None where too little is known."""
    if summary.n < 2 or metric.kind is Kind.QUANTILE:
        return None
    if metric.kind is Kind.RATIO:
        if summary.mean[1] == 0.0:
            return None
        arm = ratio(summary)
        return Baseline(arm.value, arm.variance)
    return Baseline(float(summary.mean[0]), float(summary.cov[0, 0]))
