"""What a rollout would take: rates as people write them, and the plan as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from triune.cli.output import print_facts, print_json, print_table
from triune.cli.rollout_words import percent
from triune.core.spans import span

if TYPE_CHECKING:
    from triune.delivery.rollout.history import Traffic
    from triune.delivery.rollout.model import Definition
    from triune.delivery.rollout.planning import RolloutPlan, StepPlan
    from triune.delivery.service import Plan

STEP_COLUMNS = ("step", "units", "requests/s", "lasts", "seen, median", "p90", "seen at all")
_SWITCH = "switch all traffic at once"


def rate(text: str, option: str) -> float | None:
    """An error rate: ``1%``, ``1 %`` or ``0.01``; None for an empty text."""
    if not text:
        return None
    number, sign, rest = text.strip().partition("%")
    try:
        value = float(number) / (100.0 if sign else 1.0)
    except ValueError:
        value = -1.0
    if rest or not 0.0 < value < 1.0:
        raise typer.BadParameter(
            f"{text!r} is no rate between 0 and 1: write 1% or 0.01", param_hint=option
        )
    return value


def rates(before: str, after: str) -> tuple[float | None, float | None]:
    """The rates of ``--from`` and ``--to``: a regression rises."""
    p0, p1 = rate(before, "--from"), rate(after, "--to")
    if p0 is not None and p1 is not None and p1 <= p0:
        raise typer.BadParameter(f"{after} is not above {before}", param_hint="--to")
    return p0, p1


def show(plan: RolloutPlan, *, as_json: bool) -> None:
    """The plan with its table of steps and its warnings."""
    if as_json:
        print_json(as_dict(plan))
        return
    facts = (
        ("traffic", _traffic(plan.traffic)),
        ("regression", f"errors rise from {percent(plan.p0)} to {percent(plan.p1)}"),
        ("alpha", f"{plan.alpha:g}: the chance that a harmless candidate is ever rolled back"),
    )
    print_facts(facts, title=f"{plan.endpoint}: {plan.strategy.value}")
    show_steps(plan)


def show_steps(plan: RolloutPlan) -> None:
    """The table of steps, the whole time, the warnings."""
    if plan.steps:
        typer.echo()
        print_table(STEP_COLUMNS, [_row(n, step) for n, step in enumerate(plan.steps, 1)])
        total = "without traffic it does not end" if plan.total_s is None else span(plan.total_s)
        typer.echo(f"in all at least: {total}")
    for words in plan.warnings:
        typer.secho(f"! {words}", fg="yellow")


def as_dict(plan: RolloutPlan) -> dict[str, Any]:
    """The plan as ``--json`` prints it, with the traffic's rates."""
    import dataclasses

    traffic = plan.traffic
    rates = {"rate": traffic.rate, "error_rate": traffic.error_rate}
    return {**dataclasses.asdict(plan), "traffic": {**dataclasses.asdict(traffic), **rates}}


def _traffic(traffic: Traffic) -> str:
    if not traffic.requests:
        return "none in the last minutes"
    times = [
        f"{name} {value:.3g} ms"
        for name, value in (("p50", traffic.p50_ms), ("p99", traffic.p99_ms))
        if value is not None
    ]
    rate = f"{traffic.rate:.3g} requests/s of {traffic.units} units"
    errors = f"{percent(traffic.error_rate)} errors"
    return ", ".join([f"{rate} in the last {span(traffic.seconds)}", errors, *times])


def _row(number: int, step: StepPlan) -> tuple[object, ...]:
    return (
        number,
        f"{step.weight:g} %",
        f"{step.rate:.3g}",
        span(step.lasts_s),
        _seen(step.median_s),
        _seen(step.p90_s),
        percent(step.seen),
    )


def _seen(seconds: float | None) -> str:
    return "not before the end" if seconds is None else span(seconds)


def show_dry_run(
    plan: Plan, definition: Definition, expected: RolloutPlan | None, *, as_json: bool
) -> None:
    """What a start would do now; ``expected`` is there for a canary."""
    steps = steps_of(plan, definition)
    if as_json:
        import dataclasses

        found = {**dataclasses.asdict(plan), "strategy": definition.strategy, "steps": steps}
        print_json({**found, "canary": as_dict(expected) if expected else None})
        return
    typer.echo(
        f"{plan.endpoint}: {plan.previous or 'nothing'} -> {plan.release}, "
        f"{definition.strategy.value}"
    )
    for number, step in enumerate(steps, 1):
        typer.echo(f"  {number}. {step}")
    if plan.changes:
        rows = [(c.key, c.before, c.after) for c in plan.changes]
        print_table(("setting", "now", "then"), rows, wrap=True)
    if expected:
        show_steps(expected)


def steps_of(plan: Plan, definition: Definition) -> list[str]:
    """The steps to users, as the strategy has them. An endpoint's first release goes straight to
    users: there is nothing to compare it with."""
    if plan.previous is None or _SWITCH not in plan.steps:
        return list(plan.steps)
    place = plan.steps.index(_SWITCH)
    before, after = list(plan.steps[:place]), list(plan.steps[place:])
    if definition.shadow_pairs:
        share = f"{definition.shadow_share / 100:g} % of the requests"
        before.append(f"mirror {share}, compare {definition.shadow_pairs} answers")
    if definition.strategy.value == "shadow":
        return [*before, "stop it again: no user sees any of its answers"]
    if definition.strategy.value == "canary":
        shares = ", ".join(f"{weight / 100:g}" for weight in definition.steps)
        each = f"{span(definition.step_s)} and {definition.min_requests} requests"
        before.append(f"move {shares} % of the units, each for at least {each}")
        after[0] = "move all traffic"
    return before + after
