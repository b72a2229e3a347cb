"""The report of one A/B test as an HTML file that needs nothing else.

Drawings lie in `triune.app.report.charts`; `drawings` gives them to a notebook as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from triune import __version__
from triune.app.report.charts import abtest_effect, abtest_segments, abtest_units
from triune.delivery.abtest.decide import Action, Decision
from triune.delivery.abtest.findings import Analysis, Compared, Estimate
from triune.delivery.abtest.model import METHODS, Declaration, Kind, Role

TEMPLATES = Path(__file__).parent / "templates"
TONES = {Action.PROMOTE: "good", Action.STOP: "bad", Action.ASK: "plain", Action.CONTINUE: "plain"}


@dataclass(frozen=True, slots=True)
class TestReport:
    """What the page shows.

    Parameters
    ----------
    sentences: of `triune.delivery.abtest.explain`
    analyses: of the looks so far, in their order; the last one is the present
    segments: by metric, of `triune.delivery.abtest.analysis.by_segment`
    troubles: sentences about what is wrong with the test's events
    winner: promoted already, by name; empty: nobody
    """

    __test__ = False

    workspace: str
    made: datetime
    declaration: Declaration
    decision: Decision
    sentences: tuple[str, ...]
    analyses: tuple[Analysis, ...]
    segments: Mapping[str, Sequence[Compared]] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing with a heading and a sentence of how to read it."""

    key: str
    title: str
    say: str
    svg: str


def to_html(report: TestReport) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("abtest.html.j2").render(
        report=report,
        version=__version__,
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        tone=TONES[report.decision.action],
        drawings=list(drawings(report)),
        rows=list(rows(report)),
        facts=list(_facts(report.declaration)),
    )


def drawings(report: TestReport) -> Iterator[Drawing]:
    """Every drawing that there is something for, most important first."""
    test = report.declaration
    ordered = sorted(test.metrics, key=lambda m: list(Role).index(m.role))
    for metric in ordered:
        limit = "its margin" if test.held_to_margin(metric) else "no effect"
        yield Drawing(
            f"effect-{metric.name}",
            f"The effect on {metric.name}",
            "The band holds the true effect at all times together with "
            f"{1 - report.analyses[-1].alpha:.1%} confidence; what counts is whether it leaves "
            f"{limit} out."
            if report.analyses
            else "",
            abtest_effect.draw(test, metric, report.analyses),
        )
    names = [v.name for v in test.candidates]
    for name, found in report.segments.items():
        yield Drawing(
            f"segments-{name}",
            f"{name} by segment",
            "Filled dots are shown once all segments are judged together (Holm); hollow ones are "
            "not, however far out they lie. Intervals are each segment's own.",
            abtest_segments.draw(found, names),
        )
    yield Drawing(
        "exposure",
        "Exposure",
        "Units count when they were treated, not when they were assigned.",
        abtest_units.exposure(test, report.analyses),
    )
    yield Drawing(
        "split",
        "The split of the units",
        "A split that is not the declared one means that the variants' units are not alike.",
        abtest_units.split(test, report.analyses),
    )


def rows(report: TestReport) -> Iterator[tuple[str, ...]]:
    """The last look as a table: metric, role, variant, both values, effect, p, what is found."""
    for row in report.analyses[-1].comparisons if report.analyses else ():
        kind = report.declaration.metric(row.metric).kind
        relative = row.relative is not None
        effect = row.shown
        p = row.p if row.p_adjusted is None else row.p_adjusted
        yield (
            row.metric,
            row.role.value,
            row.variant,
            f"{row.n_control:,} / {row.n_candidate:,}",
            _value(kind, row.control),
            _value(kind, row.candidate),
            _effect(effect, relative),
            "–" if p is None else f"{p:.3g}",
            row.finding.value + (f": {row.waits}" if row.waits else ""),
        )


def _value(kind: Kind, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" if kind is Kind.PROPORTION else f"{value:.4g}"


def _effect(found: Estimate | None, relative: bool) -> str:
    return "–" if found is None else abtest_effect.words_of(found, relative)


def _facts(test: Declaration) -> Iterator[tuple[str, str]]:
    yield "hypothesis", test.hypothesis
    yield "variants", ", ".join(f"{v.name} ({v.share / 100:g} %)" for v in test.variants)
    yield "control", test.control
    yield "unit", test.unit
    if test.endpoint:
        yield "endpoint", test.endpoint
    if test.flag:
        yield "flag", test.flag
    yield "analysis", f"{test.method.value}: {METHODS[test.method]}"
    yield "alpha", f"{test.alpha:g}"
    yield "planned", f"{test.planned_units:,} units in the smallest arm, {test.cycle_days:g} days"
