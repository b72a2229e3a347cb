"""What an endpoint's, or a flag's, past says of a test: traffic, baselines, and looks at it.

The past is read as if the test had run in it: the same facts, windows and folds as in the test
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from triune.delivery.abtest.backends.duckdb import recomputed
from triune.delivery.abtest.backends.sqlite import SumsFile
from triune.delivery.abtest.cell import CellKey
from triune.delivery.abtest.facts import OBSERVED, Fact, Period, Reader, Saw, Told
from triune.delivery.abtest.model import Declaration, Kind, Metric
from triune.delivery.abtest.planning import Baseline, TestPlan, plan
from triune.delivery.abtest.ports import Before, Log
from triune.delivery.abtest.stream import Position, Stream
from triune.delivery.abtest.tally import Tally
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
class Logged(Reader):
    """Reads logged traffic as if a test had run in it: ``assign`` says which variant a unit would
    have seen (None: none). Of an endpoint every answer is an exposure, of a flag's test every
    outcome is one too, as nothing else is known of its units."""

    assign: Callable[[str], str | None]

    def facts(self, stored: Stored) -> tuple[Fact, ...]:
        endpoint = self.declaration.endpoint
        payload, kind = stored.event.payload, stored.event.kind
        if kind == OBSERVED:
            return self._of_outcome(stored)
        if endpoint is None or payload.get("endpoint") != endpoint:
            return ()
        unit = payload.get("unit")
        variant = self.assign(unit) if isinstance(unit, str) and unit else None
        if variant is None:
            return ()
        found = self._saw(stored, variant, {**payload, "failed": kind == FAILED})
        return () if found is None else (found,)

    def _of_outcome(self, stored: Stored) -> tuple[Fact, ...]:
        found = super().facts(stored)
        if self.declaration.endpoint is not None:
            return found
        nothing = (None,) * len(self.slots)
        seen = [
            Saw(fact.unit, variant, fact.at, fact.sequence, nothing)
            for fact in found
            if isinstance(fact, Told) and (variant := self.assign(fact.unit)) is not None
        ]
        return (*seen, *found)


def looks(
    log: Log, reader: Reader, period: Period, moments: Sequence[int], before: Before | None = None
) -> Iterator[tuple[int, Tally, Position]]:
    """The sums as they were at each of these moments, in order: what had happened by then."""
    sums = SumsFile(None, "looks")
    try:
        stream = Stream(log, reader, period, sums, before)
        for moment in moments:
            stream.catch_up(moment)
            yield (moment, *stream.look())
    finally:
        sums.close()


def expected(log: Log, declaration: Declaration, now: int) -> Expected:
    """The plan of a test at the traffic of the last days."""
    days = min(max(declaration.cycle_days, 1.0), LONGEST_DAYS)
    period = Period(now - round(days * _DAY_US))
    quiet = replace(declaration, metrics=tuple(map(_without_covariate, declaration.metrics)))
    reader = Logged(quiet, "", {}, lambda _: declaration.control)
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
