"""What a test would take, before anything starts: units and days, or the effect it could see.

Baselines, variances and traffic are given as numbers; where they come from is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from triune.delivery.abtest.model import Declaration, Kind, Method, Metric, Role
from triune.stats import group_sequential
from triune.stats.sample_size import effect_of, reach, shares_units, units_of

POWER = 0.8

FEW_EVENTS = 100


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of a metric before the test.

    Parameters
    ----------
    value: control's
    variance: a unit's, such that ``variance / n`` is the squared error of the value of n units; of
        a proportion it follows from the value; of a quantile see :func:`quantile_variance`
    correlation: of the value with its covariate, for CUPED
    """

    value: float
    variance: float = 0.0
    correlation: float = 0.0


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """What a metric needs, or would show. Effects are relative to control; None: it cannot be said.

    Parameters
    ----------
    effect: the one that is planned for: the smallest worth knowing, or the margin
    units: in each arm of equal shares, or in the smallest, that show it with the power
    days: until that many were exposed
    planned_effect: the one that the declared units show
    cycle_effect: the one that the declared cycle's traffic shows
    """

    metric: str
    role: Role
    effect: float | None
    units: int | None
    days: float | None
    planned_effect: float | None
    cycle_effect: float | None


@dataclass(frozen=True, slots=True)
class TestPlan:
    """See the module's words. ``units`` and ``days`` are the primary metric's, and at least the
    cycle; ``warnings`` are sentences about what will not work well."""

    __test__ = False

    metrics: tuple[MetricPlan, ...]
    units: int | None
    days: float | None
    alpha: float
    power: float
    warnings: tuple[str, ...]


def plan(
    declaration: Declaration,
    baselines: Mapping[str, Baseline],
    units_a_day: float,
    *,
    power: float = POWER,
) -> TestPlan:
    """The plan of a test.

    Parameters
    ----------
    baselines: by metric; one without is left out of what can be said
    units_a_day: new units that would enter the test, all arms together

    Raises ValueError for impossible numbers.
    """
    rows = tuple(
        _metric(declaration, metric, baselines.get(metric.name), units_a_day, power)
        for metric in declaration.metrics
    )
    primary = next(row for row in rows if row.role is Role.PRIMARY)
    days = primary.days if primary.days is None else max(primary.days, declaration.cycle_days)
    return TestPlan(
        metrics=rows,
        units=primary.units,
        days=days,
        alpha=_alpha(declaration),
        power=power,
        warnings=(
            *_warnings(declaration, primary, units_a_day, days),
            *_rare(declaration, baselines),
        ),
    )


def quantile_variance(q: float, density: float) -> float:
    """A unit's variance of a quantile, from the density of values there: ``q (1 - q) / f^2``.

    >>> round(quantile_variance(0.5, 0.3989), 3)
    1.571
    """
    if not (0.0 < q < 1.0 and density > 0.0):
        raise ValueError(f"need 0 < q < 1 and a density above 0, not {q} and {density}")
    return q * (1.0 - q) / density**2


def _alpha(declaration: Declaration) -> float:
    return declaration.alpha / max(1, len(declaration.candidates))


def _metric(
    declaration: Declaration,
    metric: Metric,
    baseline: Baseline | None,
    units_a_day: float,
    power: float,
) -> MetricPlan:
    effect = _effect(declaration, metric, baseline)
    empty = MetricPlan(metric.name, metric.role, effect, None, None, None, None)
    if baseline is None or baseline.value == 0.0:
        return empty
    z, smaller = _reach(declaration, metric), _smaller_share(declaration)
    variance = _variance(metric, baseline)

    def shown(in_smallest: float) -> float | None:
        total = in_smallest / smaller
        if total <= 0.0 or variance == 0.0:
            return None
        found = effect_of(variance, total, z=z, power=power, share=smaller)
        return found / abs(baseline.value)

    units = None
    if effect:
        total = _total(declaration, metric, baseline, effect, (z, power, smaller))
        units = math.ceil(total * smaller)
    rate = units_a_day * min(v.share for v in declaration.variants) / _entered(declaration)
    return MetricPlan(
        metric=metric.name,
        role=metric.role,
        effect=effect,
        units=units,
        days=None if units is None or rate <= 0.0 else units / rate,
        planned_effect=shown(declaration.planned_units),
        cycle_effect=shown(rate * declaration.cycle_days),
    )


def _effect(declaration: Declaration, metric: Metric, baseline: Baseline | None) -> float | None:
    """The relative effect that is planned for; None when none was declared."""
    if not declaration.held_to_margin(metric):
        return metric.minimum_effect
    if not metric.margin_absolute:
        return metric.margin or None
    known = baseline is not None and baseline.value != 0.0
    return metric.margin / abs(baseline.value) or None if baseline and known else None


def _reach(declaration: Declaration, metric: Metric) -> float:
    one_sided = declaration.held_to_margin(metric)
    alpha = _alpha(declaration)
    if declaration.method is Method.GROUP_SEQUENTIAL:
        looks = [(i + 1) / declaration.looks for i in range(declaration.looks)]
        return group_sequential.bounds(looks, alpha, sides=1 if one_sided else 2)[-1]
    sequential = declaration.method is Method.SEQUENTIAL
    return reach(alpha, sequential=sequential, one_sided=one_sided)


def _variance(metric: Metric, baseline: Baseline) -> float:
    own = baseline.variance
    if metric.kind is Kind.PROPORTION:
        own = baseline.value * (1.0 - baseline.value)
    return own * (1.0 - baseline.correlation**2)


def _total(
    declaration: Declaration,
    metric: Metric,
    baseline: Baseline,
    effect: float,
    needs: tuple[float, float, float],
) -> int:
    """Units in control and one candidate together."""
    z, power, share = needs
    apart = effect * baseline.value
    two_shares = metric.kind is Kind.PROPORTION and not declaration.held_to_margin(metric)
    if two_shares and not baseline.correlation and baseline.value + apart < 1.0:
        return shares_units(baseline.value, baseline.value + apart, z=z, power=power, share=share)
    return units_of(_variance(metric, baseline), apart, z=z, power=power, share=share)


def _smaller_share(declaration: Declaration) -> float:
    """The smaller part that control or a candidate has of the two, where it is smallest."""
    shares = declaration.shares
    control = shares[declaration.control]
    least = min((v.share for v in declaration.candidates), default=control)
    return min(control, least) / (control + least)


def _entered(declaration: Declaration) -> int:
    return max(1, sum(declaration.shares.values()))


def _warnings(
    declaration: Declaration, primary: MetricPlan, units_a_day: float, days: float | None
) -> list[str]:
    found = []
    if units_a_day <= 0.0:
        found.append("No unit entered lately: without traffic no test ends.")
    if primary.effect is None:
        found.append(
            f"{primary.metric} declares no effect worth knowing, so it cannot be said how many "
            "units are needed: give `minimum_effect` (or a `margin`)."
        )
    if primary.units is not None and primary.units > declaration.planned_units:
        found.append(
            f"The planned {declaration.planned_units} units an arm are fewer than the "
            f"{primary.units} that show {primary.effect:.1%}: such an effect will often be missed."
        )
    if days is not None and days > declaration.longest_days:
        found.append(
            f"At this traffic it takes {days:.0f} days; a person is asked after "
            f"{declaration.longest_days:g}."
        )
    if declaration.cycle_days < 7.0:
        found.append("A cycle below 7 days does not see every weekday.")
    return found


def _rare(declaration: Declaration, baselines: Mapping[str, Baseline]) -> Iterator[str]:
    for metric in declaration.metrics:
        known = baselines.get(metric.name)
        if known is None or metric.kind is not Kind.PROPORTION:
            continue
        expected = declaration.planned_units * min(known.value, 1.0 - known.value)
        if 0.0 < expected < FEW_EVENTS:
            yield (
                f"About {expected:.0f} events of {metric.name} are expected in the smallest arm: "
                "below a hundred they are found less often than planned, most of all with "
                "arms of different sizes."
            )
