"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triune import __version__
from triune.app.report import abtest, markdown
from triune.app.report.charts import canary, latency, lineage, quality, shadow, steps, timeline
from triune.app.report.model import Report, RollbackView, RunView

TEMPLATES = Path(__file__).parent / "templates"
CURVES = (
    ("log_loss", "log loss on held-out days", "round"),
    ("month_auc", "AUC on held-out days, by month", "month"),
)
MOST_CURVES = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """One large number; ``tone`` is ``good``, ``bad`` or empty."""

    value: str
    words: str
    tone: str = ""


def to_html(report: Report) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"markdown": markdown.to_html, "ms": _milliseconds, "score": _score}
    template = environment.get_template("report.html.j2")
    return template.render(
        report=report,
        version=__version__,
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        headline=headline(report),
        passed=all(check.ok for check in report.checks),
        passed_words=_passed(report),
        tiles=list(tiles(report)),
        params=_compared(report.runs, "params"),
        metrics=_compared(report.runs, "metrics"),
        **_charts(report),
    )


def headline(report: Report) -> str:
    """What the page is about, in one line."""
    return "From raw data to a model that serves" if report.loop else f"What {report.endpoint} did"


def _passed(report: Report) -> str:
    good, every = sum(check.ok for check in report.checks), len(report.checks)
    return f"All {every} checks hold" if good == every else f"{every - good} of {every} checks fail"


def tiles(report: Report) -> Iterator[Tile]:
    """The numbers to see first."""
    traffic = report.traffic
    if traffic:
        yield Tile(f"{traffic.good:,}", "requests answered")
        planned = report.bad_planned
        words = "requests failed or lost, but for releases that were to fail"
        yield Tile(f"{planned:,}", words, "bad" if planned else "good")
        if traffic.p99 is not None:
            yield Tile(f"{traffic.p99:.1f} ms", "99 % of answers within, through the gateway")
    yield from _canary_tiles(report)
    seconds = [one.seconds for one in _unforeseen(report) if one.seconds is not None]
    if seconds:
        yield Tile(f"{max(seconds):.2f} s", "from the first failed check to the way back")
    areas = [(release.letter, release.area) for release in report.releases if release.area]
    if len(areas) > 1:
        (first, before), (second, after) = areas[0], areas[1]
        words = f"live AUC, {first} to {second}"
        yield Tile(f"{before.value:.2f}→{after.value:.2f}", words)
    if report.verdict:
        yield Tile(
            report.verdict, "the run done again", "bad" if report.verdict == "different" else "good"
        )


def _canary_tiles(report: Report) -> Iterator[Tile]:
    """The newest canary of each end."""
    ends = {one.taken_back: one for one in report.canaries if one.ended is not None}
    for taken_back, one in sorted(ends.items()):
        words = "until the evidence took it back" if taken_back else "until all users had it"
        seconds = (one.ended or one.began) - one.began
        yield Tile(f"{seconds:.1f} s", f"{one.release.letter} was a canary, {words}")


def _unforeseen(report: Report) -> list[RollbackView]:
    """The ways back that no canary tells of."""
    told = {canary.rollout for canary in report.canaries}
    return [one for one in report.rollbacks if one.rollout not in told]


def _charts(report: Report) -> dict[str, Any]:
    releases = {release.ref: release for release in report.releases}
    traffic = report.traffic
    return {
        "timeline": timeline.draw(traffic, report.marks, releases) if traffic else "",
        "latency": latency.draw(traffic, report.marks, releases) if traffic else "",
        "shadows": [(one, shadow.draw(one)) for one in report.shadows],
        "tests": [
            (one, list(abtest.drawings(one)), list(abtest.rows(one))) for one in report.tests
        ],
        "canaries": [(one, canary.draw(one)) for one in report.canaries],
        "rollbacks": _unforeseen(report),
        "areas": quality.areas(report.releases),
        "curves": _curves(report.runs),
        "lineage": lineage.draw(report.lineage.prediction, report.lineage.edges)
        if report.lineage
        else "",
        "steps": steps.draw(report.steps),
    }


def _curves(runs: Sequence[RunView]) -> list[str]:
    """Metrics that have a history: the well-known ones first, then others by name."""
    known = {name: (words, step) for name, words, step in CURVES}
    others = sorted(
        {name for run in runs for name, points in run.history.items() if len(points) > 1}
    )
    order = [name for name in known if name in others]
    if not order:
        order = others[:MOST_CURVES]
    drawn = []
    for name in order[:MOST_CURVES]:
        words, step = known.get(name, (name, "step"))
        drawn.append(quality.lines(runs, name, words, step=step))
    return [curve for curve in drawn if curve]


def _compared(runs: Sequence[RunView], what: str) -> list[tuple[str, list[str]]]:
    """A row for each name with every run's value as text."""
    tables = [getattr(run, what) for run in runs]
    names = dict.fromkeys(name for table in tables for name in table)
    return [(name, [_cell(table.get(name)) for table in tables]) for name in names]


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ms"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) and not value.is_integer() else str(value)
