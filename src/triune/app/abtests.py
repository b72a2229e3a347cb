"""Plugs A/B tests together: the ledger, flags, rollouts, features of the past, tracked runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from triune.core.errors import Refused
from triune.delivery.abtest import declaring
from triune.delivery.abtest.declaring import Declared
from triune.delivery.abtest.register import Register

if TYPE_CHECKING:
    from pathlib import Path

    from triune.app.context import Context
    from triune.app.report.abtest import TestReport
    from triune.core.workspace import Workspace
    from triune.delivery.abtest.exposing import Outcomes, Running
    from triune.delivery.abtest.findings import Compared
    from triune.delivery.abtest.hook import ExposureHook
    from triune.delivery.abtest.runs import Run
    from triune.delivery.abtest.service import ABTests
    from triune.delivery.abtest.standing import TestStanding


def folder(workspace: Workspace) -> Path:
    """Where the sums of tests lie."""
    return workspace.state / "tests"


def register(context: Context) -> Register:
    """The A/B tests of a workspace as the ledger has them: what only that needs stays quick."""
    return Register(context.ledger, context.workspace.name, context.flags)


def use_cases(context: Context) -> ABTests:
    """The A/B tests of a workspace."""
    from triune.app import rollouts
    from triune.delivery.abtest.endpoints import Endpoints
    from triune.delivery.abtest.service import ABTests
    from triune.delivery.releases import settings

    workspace = context.workspace
    taken = rollouts.use_cases(context)
    return ABTests(
        log=context.ledger,
        workspace=workspace.name,
        flags=context.flags,
        endpoints=Endpoints(
            taken.conductor.tools.releases,
            taken,
            lambda endpoint: settings(workspace, endpoint).model,
        ),
        folder=folder(workspace),
        declared=lambda: declared(workspace),
        before=Before(context),
    )


def declared(workspace: Workspace) -> Mapping[str, Declared]:
    """The tests of ``triune.toml``."""
    config = workspace.config
    return {
        name: Declared(declaring.of_table(name, table, config.holdout), table.promote)
        for name, table in config.tests.items()
    }


def exposure_hook(context: Context) -> tuple[ExposureHook, Running]:
    """A hook for the OpenFeature SDK that tells the exposures of tests, and what follows the tests
    for it; stop that in the end."""
    from triune.delivery.abtest.exposing import Exposures, Running
    from triune.delivery.abtest.hook import ExposureHook

    known = register(context)
    running = Running(lambda: {run.id: run for run in known.runs().running}).start()
    exposures = Exposures(context.ledger.append, context.workspace.name)
    return ExposureHook(running, exposures), running


def outcomes(context: Context) -> Outcomes:
    """Tells the outcomes that tests of flags are judged by."""
    from triune.delivery.abtest.exposing import Outcomes

    return Outcomes(context.ledger.append, context.workspace.name)


def in_segments(standing: TestStanding) -> Mapping[str, Sequence[Compared]]:
    """Each metric in every segment; nothing where none was declared."""
    from triune.delivery.abtest.analysis import by_segment

    declaration, due = standing.run.declaration, standing.analysis.due
    if not declaration.segments:
        return {}
    return {
        metric.name: by_segment(declaration, standing.readings, metric.name, due=due)
        for metric in declaration.metrics
    }


def write_report(context: Context, name: str, path: Path) -> Path:
    """The report of a test's latest run as an HTML page, or as a notebook where the path ends in
    ``.ipynb``; returns where it lies.

    Raises
    ------
    NotFound: (``test-unknown``).
    """
    from triune.app.report.abtest import to_html
    from triune.app.report.abtest_notebook import to_notebook
    from triune.core.files import write_atomic

    report = report_of(context, context.abtests.runs().find(name))
    write_atomic(path, to_notebook(report) if path.suffix == ".ipynb" else to_html(report))
    return path.resolve()


def report_of(context: Context, run: Run) -> TestReport:
    """What a run's report shows."""
    from triune.app.report.abtest import TestReport

    tests = context.abtests
    standing = tests.standing(run)
    looks = tests.path(standing)
    return TestReport(
        workspace=context.workspace.name,
        made=tests.clock.now(),
        declaration=run.declaration,
        decision=standing.decision,
        sentences=tuple(standing.sentences),
        analyses=tuple(look.analysis for look in looks) or (standing.analysis,),
        segments=in_segments(standing),
        troubles=standing.troubles,
    )


@dataclass(frozen=True)
class Before:
    """`triune.delivery.abtest.ports.Before` by the feature store: values as they were known at the
    moment of the first exposure. ``unit`` is the join key of the features' entity."""

    context: Context

    def __call__(
        self, units: Mapping[str, int], names: Sequence[str]
    ) -> Mapping[str, tuple[float, ...]]:
        import pandas as pd

        from triune.app import features

        key, kind = _join_key(features.pinned(self.context, names).keys, names)
        keys = {unit: _as_key(unit, kind) for unit in units}
        known = [unit for unit, value in keys.items() if value is not None]
        moments = [datetime.fromtimestamp(units[unit] / 1e6, UTC) for unit in known]
        asked = pd.DataFrame({key: [keys[u] for u in known], "event_timestamp": moments})
        found = dict.fromkeys(units, (0.0,) * len(names))
        if known:
            joined = self.context.features.history(asked, names)[_columns(names)]
            rows = joined.astype("float64").fillna(0.0).itertuples(index=False)
            found |= {unit: tuple(row) for unit, row in zip(known, rows, strict=True)}
        return found


def _as_key(unit: str, kind: str) -> str | int | None:
    """A unit as the feature store has its keys; None for one that is none of them."""
    if not kind.startswith("INT"):
        return unit
    return int(unit) if unit.removeprefix("-").isdecimal() else None


def _join_key(keys: Mapping[str, str], names: Sequence[str]) -> tuple[str, str]:
    """The one join key of the features, and its type."""
    if len(keys) != 1:
        raise Refused(
            "test-covariate-unfit",
            f"{', '.join(names)} are found by {', '.join(sorted(keys)) or 'nothing'}, and a unit "
            "has one key",
            hint="Take features of the entity that the test's units are.",
        )
    return next(iter(keys.items()))


def _columns(names: Sequence[str]) -> list[str]:
    """What the joined columns are called: a feature that two views have is named with its view."""
    features = [name.partition(":")[2] for name in names]
    return [
        feature if features.count(feature) == 1 else name.replace(":", "__", 1)
        for name, feature in zip(names, features, strict=True)
    ]
