"""What a command's words name: a declared test, two versions at an endpoint, a flag's variants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from triune.core.abtest_config import Better, Kind

if TYPE_CHECKING:
    from triune.app.context import Context
    from triune.delivery.abtest.declaring import Declared
    from triune.delivery.abtest.model import Declaration


@dataclass(frozen=True, slots=True)
class Words:
    """The options as they were given; empty, 0 and below 0: not given."""

    target: str
    a: str = ""
    b: str = ""
    name: str = ""
    percent: float = 50.0
    outcome: str = ""
    kind: Kind = Kind.PROPORTION
    better: Better = Better.HIGHER
    units: int = 0
    days: float = -1.0
    alpha: float = 0.0
    effect: float = 0.0


def declared(context: Context, words: Words) -> Declared:
    """The test that the words name.

    Raises
    ------
    NotFound: ``test-undeclared``, ``flag-unknown``.
    """
    from triune.delivery.abtest.declaring import Declared

    if not words.a and not words.b:
        found = context.abtests.find(words.target)
        return Declared(_changed(found.declaration, words), found.promotion)
    for option, given in (("--a", words.a), ("--b", words.b)):
        if not given:
            raise typer.BadParameter("both arms are needed", param_hint=option)
    if words.target not in context.workspace.config.endpoints:
        return Declared(_changed(_of_variants(context, words), words))
    made = _changed(_of_versions(words), words)
    return Declared(made if words.units else context.abtests.sized(made))


def _of_versions(words: Words) -> Declaration:
    from triune.delivery.abtest.declaring import of_versions

    return of_versions(
        words.target,
        _version(words.a, "--a"),
        _version(words.b, "--b"),
        outcome=words.outcome or None,
        percent=words.percent,
        name=words.name,
    )


def _of_variants(context: Context, words: Words) -> Declaration:
    from triune.delivery.abtest.declaring import held_out, metric_of_outcome, of_variants

    context.flags.current().find(words.target)
    if not words.outcome:
        what = "say which outcome is compared, e.g. --outcome order"
        raise typer.BadParameter(what, param_hint="--outcome")
    return of_variants(
        words.target,
        words.a,
        words.b,
        [metric_of_outcome(words.outcome, words.kind, better=words.better)],
        percent=words.percent,
        name=words.name,
        holdout=held_out(context.workspace.config.holdout),
    )


def _changed(declaration: Declaration, words: Words) -> Declaration:
    """With the numbers that the options give."""
    changes: dict[str, Any] = {}
    if words.units:
        changes["planned_units"] = words.units
        changes["minimum_units"] = min(declaration.minimum_units, words.units)
    if words.days >= 0:
        changes["cycle_days"] = words.days
    if words.alpha:
        changes["alpha"] = words.alpha
    if words.effect:
        primary = declaration.primary
        changes["metrics"] = tuple(
            replace(m, minimum_effect=words.effect) if m == primary else m
            for m in declaration.metrics
        )
    return replace(declaration, **changes) if changes else declaration


def _version(text: str, option: str) -> int:
    number = text.rpartition("@")[2]
    if not number.isdigit() or int(number) < 1:
        raise typer.BadParameter(f"{text!r} is no version: write 3", param_hint=option)
    return int(number)
