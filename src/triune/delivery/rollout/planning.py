"""What a rollout would take, before anything starts: its times, and the harm it could see."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from triune.core.rollout_config import MetricName, Mode, Strategy
from triune.delivery.rollout.history import Traffic
from triune.delivery.rollout.model import Definition
from triune.stats.power import Detection, detection

DOUBLED = 2.0
MOST_MARGIN = 3.0


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step: percent of the units, the requests a second that reach the candidate, how long
    it lasts at least (None: forever, there is no traffic), and how long a rise of the error rate
    from ``p0`` to ``p1`` would take to be seen if it began with this step and the share stayed.

    ``seen`` is the share of such regressions that are seen before the horizon.
    """

    weight: float
    rate: float
    lasts_s: float | None
    median_s: float | None
    p90_s: float | None
    seen: float


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """See the module's words. ``warnings`` are sentences about what will not work well."""

    endpoint: str
    strategy: Strategy
    traffic: Traffic
    p0: float
    p1: float
    alpha: float
    steps: tuple[StepPlan, ...]
    total_s: float | None
    warnings: tuple[str, ...]


def plan(
    endpoint: str, definition: Definition, traffic: Traffic, p0: float, p1: float
) -> RolloutPlan:
    """The plan of a rollout at the endpoint's present traffic."""
    steps = []
    if definition.strategy is Strategy.CANARY:
        steps = [
            _step(definition, number, traffic.rate, p0, p1)
            for number in range(len(definition.steps))
        ]
    lasts = [step.lasts_s for step in steps]
    total = None if None in lasts else definition.warm_up_s + sum(s for s in lasts if s)
    return RolloutPlan(
        endpoint=endpoint,
        strategy=definition.strategy,
        traffic=traffic,
        p0=p0,
        p1=p1,
        alpha=definition.alpha,
        steps=tuple(steps),
        total_s=total,
        warnings=tuple(_warnings(definition, traffic, steps, total)),
    )


def _step(definition: Definition, number: int, rate: float, p0: float, p1: float) -> StepPlan:
    share = definition.steps[number] / 10_000
    reached = rate * share
    if reached == 0.0:
        return StepPlan(share * 100, 0.0, None, None, None, 0.0)
    found = _detection(definition, number, rate, p0, p1)
    return StepPlan(
        weight=share * 100,
        rate=reached,
        lasts_s=max(definition.step_s, definition.min_requests / reached),
        median_s=found.median_s,
        p90_s=found.p90_s,
        seen=found.detected_share,
    )


def _detection(definition: Definition, number: int, rate: float, p0: float, p1: float) -> Detection:
    errors = next((m for m in definition.metrics if m.name is MetricName.ERRORS), None)
    offset = errors.offset(number)[1] if errors else 0.0
    return detection(
        rate,
        definition.steps[number] / 10_000,
        p0,
        p1,
        alpha=definition.alpha,
        weight=errors.weight or 1.0 if errors else 1.0,
        tick_s=definition.tick_s,
        planned_ticks=definition.planned_ticks,
        phi=errors.phi if errors else definition.phi,
        margin=min((1.0 + (errors.margin if errors else 0.0)) * exp(offset) - 1.0, MOST_MARGIN),
    )


def _warnings(
    definition: Definition, traffic: Traffic, steps: list[StepPlan], total: float | None
) -> list[str]:
    found = []
    if traffic.requests == 0:
        found.append(
            "No request reached this endpoint in the last minutes: without traffic no verdict "
            "can be reached, and a person will be asked when the horizon is over."
        )
    elif steps and total is not None and total > definition.horizon_s:
        found.append(
            f"At this traffic the steps take {total:.0f} s, longer than the horizon of "
            f"{definition.horizon_s:.0f} s: raise `horizon_s`, or lower `min_requests` or `steps`."
        )
    if steps and traffic.requests and max(step.seen for step in steps) < 0.5:
        found.append(
            "At this traffic most such regressions would not be seen at any step: begin with "
            "larger steps, or let each last longer."
        )
    blind = [m.name.value for m in definition.metrics if m.mode is not Mode.AUTOMATIC]
    if blind:
        found.append(f"These metrics do not roll back by themselves: {', '.join(blind)}.")
    if traffic.anonymous > traffic.requests / 2:
        found.append(
            "Most requests name no unit (header x-triune-unit): they are spread at random, and "
            "one user may see both releases."
        )
    return found
