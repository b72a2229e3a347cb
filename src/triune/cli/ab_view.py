"""A/B tests as people read them, and as ``--json`` has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.output import many, print_facts, print_json, print_table, when
from triune.core.spans import span

if TYPE_CHECKING:
    from triune.delivery.abtest.findings import Compared, Estimate
    from triune.delivery.abtest.model import Declaration
    from triune.delivery.abtest.past import Expected
    from triune.delivery.abtest.runs import Run
    from triune.delivery.abtest.service import Checked, Look
    from triune.delivery.abtest.standing import TestStanding


def compared(declaration: Declaration) -> str:
    """What a test compares, in a few words."""
    arms = " / ".join(v.name for v in declaration.variants)
    return f"{declaration.endpoint or declaration.flag}: {arms}"


def show_declared(declaration: Declaration, *, as_json: bool) -> None:
    """A test that could start."""
    if as_json:
        print_json({"could_start": True, "declaration": _plain(declaration)})
        return
    print_facts(_declared(declaration), title=f"{declaration.name}: could start")


def show_started(run: Run, *, as_json: bool) -> None:
    """A test that has just begun."""
    if as_json:
        print_json(_run(run))
        return
    print_facts(_declared(run.declaration), title=f"{run.name}: started")
    typer.echo("next: triune up (its service `tests` keeps the test live)")
    typer.echo(f"      triune ab status {run.name}")
    if run.rollout is not None:
        typer.echo(f"      triune rollout watch {run.declaration.endpoint}")


def show_ended(run: Run, *, as_json: bool) -> None:
    """A test that has just ended."""
    if as_json:
        print_json(_run(run))
    elif run.verdict:
        typer.echo(f"{run.name}: {_won(run)} ({run.why})")
    else:
        typer.echo(f"{run.name}: {run.stage.value} ({run.why})")


def show(
    standing: TestStanding,
    checked: Checked | None,
    segments: Mapping[str, Sequence[Compared]] | None = None,
    *,
    as_json: bool,
) -> None:
    """A test as it stands."""
    if as_json:
        print_json(as_dict(standing, checked, segments))
        return
    print_facts(_facts(standing), title=standing.run.name)
    typer.echo()
    print_table(
        ("metric", "variant", "units", "control", "candidate", "effect", "p", "finding"),
        [_row(one) for one in standing.analysis.comparisons],
        keep=2,
        first_out=("units", "p"),
    )
    if segments is not None:
        _show_segments(segments)
    typer.echo()
    for words in standing.sentences:
        typer.echo(words)
    for words in standing.troubles:
        typer.secho(f"! {words}", fg="yellow")
    if checked is not None:
        typer.echo(_checked(checked))


def _show_segments(segments: Mapping[str, Sequence[Compared]]) -> None:
    typer.echo()
    print_table(
        ("segment", "metric", "variant", "units", "effect", "adjusted p", "finding"),
        [
            (one.segment, row[0], row[1], row[2], row[5], _number(one.p_adjusted), row[7])
            for rows in segments.values()
            for one in rows
            for row in (_row(one),)
        ],
        empty="the test declares no segments",
        keep=3,
    )


def as_dict(
    standing: TestStanding,
    checked: Checked | None = None,
    segments: Mapping[str, Sequence[Compared]] | None = None,
) -> dict[str, Any]:
    """A test as ``--json`` has it."""
    return {
        **_run(standing.run),
        "exposed": dict(standing.readings.exposed),
        "days": standing.readings.days,
        "counts": dict(standing.counts),
        "position": _plain(standing.position),
        "analysis": _plain(standing.analysis),
        "decision": _plain(standing.decision),
        "troubles": list(standing.troubles),
        **({} if checked is None else {"exact": _plain(checked)}),
        **({} if segments is None else {"segments": _plain(segments)}),
    }


def show_history(runs: Sequence[Run], *, as_json: bool) -> None:
    """Tests that ran, as a list."""
    if as_json:
        print_json([_run(run) for run in runs])
        return
    rows = [
        (
            run.name,
            when(run.started),
            run.actor,
            run.reason,
            "" if run.ended is None else when(run.ended),
            _won(run) if run.verdict else run.stage.value,
            run.ended_by,
            run.why,
        )
        for run in runs
    ]
    columns = ("test", "started", "by", "why", "ended", "result", "ended by", "why it ended")
    print_table(columns, rows, empty="no test was ever started", first_out=("by", "ended by"))


def show_plan(expected: Expected, *, as_json: bool) -> None:
    """What a test would take."""
    if as_json:
        print_json(_plain(expected))
        return
    plan = expected.plan
    facts = [
        ("traffic", f"{expected.units_a_day:.0f} units a day enter it ({expected.source})"),
        ("needs", "cannot be said" if plan.units is None else f"{plan.units} units in each arm"),
        ("lasts", "cannot be said" if plan.days is None else f"{plan.days:.1f} days"),
        ("alpha, power", f"{plan.alpha:g}, {plan.power:g}"),
    ]
    print_facts(facts, title=expected.name)
    typer.echo()
    columns = (
        "metric",
        "role",
        "now",
        "effect",
        "units",
        "days",
        "planned units show",
        "cycle shows",
    )
    print_table(
        columns,
        [
            (
                one.metric,
                one.role.value,
                _number(expected.values.get(one.metric)),
                _percent(one.effect),
                one.units,
                None if one.days is None else f"{one.days:.1f}",
                _percent(one.planned_effect),
                _percent(one.cycle_effect),
            )
            for one in plan.metrics
        ],
    )
    for words in plan.warnings:
        typer.secho(f"! {words}", fg="yellow")


def show_looks(declaration: Declaration, looks: Sequence[Look], *, as_json: bool) -> None:
    """A test look by look."""
    if as_json:
        print_json([_look(one) for one in looks])
        return
    primary = declaration.primary.name
    units = [f"units {v.name}" for v in declaration.variants]
    columns = ("at", *units, "split p", primary, "verdict")
    rows = []
    for one in looks:
        row = one.analysis.of(primary, declaration.candidates[0].name)
        shown = row.shown
        rows.append(
            (
                when(one.at),
                *(one.readings.exposed[v.name] for v in declaration.variants),
                f"{one.analysis.ratio.p:.3g}",
                row.waits if shown is None else _effect(shown, relative=row.relative is not None),
                one.decision.action.value,
            )
        )
    print_table(columns, rows, keep=1)
    last = looks[-1].decision
    typer.echo(f"in the end: {last.action.value}: {last.reason}")


def _look(one: Look) -> dict[str, Any]:
    return {
        "at": one.at,
        "exposed": dict(one.readings.exposed),
        "days": one.readings.days,
        "analysis": _plain(one.analysis),
        "decision": _plain(one.decision),
    }


def _facts(standing: TestStanding) -> Iterator[tuple[str, object]]:
    run, counts = standing.run, standing.counts
    yield "stage", run.stage.value if not run.verdict else f"{run.stage.value}: {_won(run)}"
    yield "compares", compared(run.declaration)
    yield "hypothesis", run.declaration.hypothesis
    yield "started", f"{when(run.started)} by {run.actor}: {run.reason}"
    if run.ended is not None:
        yield "ended", f"{when(run.ended)} by {run.ended_by}: {run.why}"
    ratio = standing.analysis.ratio
    units = ", ".join(f"{name} {n}" for name, n in standing.readings.exposed.items())
    yield "units", f"{units}; split as declared: p = {ratio.p:.3g}"
    lasted, cycle = (days * 86_400 for days in (standing.readings.days, run.declaration.cycle_days))
    yield "time", f"{span(lasted)} of {span(cycle)}" if cycle else span(lasted)
    told = f"{many(counts['joined'], 'outcome')} counted"
    yield "events", f"{told}, {counts['repeated']} repeated exposures, {counts['hopped']} hopped"
    yield "verdict", f"{standing.decision.verdict.value}: {standing.decision.reason}"


def _declared(declaration: Declaration) -> Iterator[tuple[str, object]]:
    yield "compares", compared(declaration)
    yield "hypothesis", declaration.hypothesis
    for variant in declaration.variants:
        is_control = " (control)" if variant.name == declaration.control else ""
        yield f"variant {variant.name}", f"{variant.share / 100:g} % of the units{is_control}"
    for metric in declaration.metrics:
        yield f"metric {metric.name}", f"{metric.kind.value}, {metric.role.value}"
    yield "planned", f"{declaration.planned_units} units an arm, {declaration.cycle_days:g} days"
    yield "method", f"{declaration.method.value}, alpha {declaration.alpha:g}"


def _row(one: Compared) -> tuple[object, ...]:
    shown = one.shown
    return (
        one.metric,
        one.variant,
        one.n_control + one.n_candidate,
        _number(one.control),
        _number(one.candidate),
        "" if shown is None else _effect(shown, relative=one.relative is not None),
        "" if one.p is None else f"{one.p:.3g}",
        one.finding.value,
    )


def _effect(found: Estimate, *, relative: bool) -> str:
    def words(value: float | None) -> str:
        if value is None:
            return ".."
        return f"{value:+.1%}" if relative else f"{value:+.3g}"

    return f"{words(found.value)} [{words(found.low)}, {words(found.high)}]"


def _won(run: Run) -> str:
    return f"{run.winner} won" if run.winner else "nobody won"


def _checked(checked: Checked) -> str:
    if not checked.agrees:
        return f"computed anew from {checked.read} events: it DIFFERS ({checked.apart:.3g})"
    return (
        f"computed anew from {checked.read} events: the same (to {max(checked.apart, 1e-16):.1e})"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _run(run: Run) -> dict[str, Any]:
    return {"test": run.name, **_plain(run)}


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)
