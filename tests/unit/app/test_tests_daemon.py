"""The daemon of tests: it judges, promotes where it may, and never trips over one test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.abtest_facts import DECLARED, METRICS, told
from triune.app import services
from triune.app.context import Context
from triune.app.tests_daemon import Keeper
from triune.core.abtest_config import Promotion
from triune.core.workspace import Workspace
from triune.delivery.abtest.exposing import exposure
from triune.delivery.abtest.runs import Run, Stage
from triune.delivery.flags.model import Flag

READY = replace(DECLARED, metrics=METRICS[:1], minimum_units=50, planned_units=200, cycle_days=0.0)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    (tmp_path / "triune.toml").write_text('[workspace]\nname = "shop"\n')
    made = Context(Workspace(tmp_path))
    made.flags.set(Flag("new-ui", True, {"on": True, "off": False}, "off"), "a page")
    yield made
    made.close()


def traffic(context: Context, run: Run, *, units: int = 1200, wrong_split: bool = False) -> None:
    events = []
    for number in range(units):
        unit = f"u{number}"
        variant = "new" if wrong_split and number % 5 else run.declaration.variant_of(unit)
        made = exposure(run, unit, variant or "", "shop")
        events.append(made)
        if number % (2 if variant == "new" else 6) == 0:
            late = told(unit, "order", 1, 0)
            events.append(type(late)(**{f: getattr(late, f) for f in late.__struct_fields__}
                          | {"time": made.time + 1}))  # fmt: skip
    context.ledger.record(events)


def test_a_winner_is_promoted_without_a_person(context: Context) -> None:
    run = context.abtests.start(READY, "to see", promotion=Promotion.AUTOMATIC)
    traffic(context, run)
    told: list[str] = []
    Keeper(context.abtests, told.append).turn()
    ended = context.abtests.runs().find(run.name)
    assert (ended.stage, ended.winner, ended.ended_by) == (Stage.DECIDED, "new", "service:tests")
    flag = context.flags.current().find("new-ui")
    assert (flag.default, flag.targeting, flag.metadata) == ("on", None, {})
    assert "new won" in told[0]


def test_a_wrong_split_stops_it_with_the_reason(context: Context) -> None:
    run = context.abtests.start(READY, "to see", promotion=Promotion.AUTOMATIC)
    traffic(context, run, wrong_split=True)
    Keeper(context.abtests, print).turn()
    ended = context.abtests.runs().find(run.name)
    assert (ended.verdict, ended.winner) == ("fail", None)
    assert "not split as they should be" in ended.why
    assert context.flags.current().find("new-ui").default == "off"


def test_a_person_is_asked_by_default(context: Context) -> None:
    run = context.abtests.start(READY, "to see")
    traffic(context, run)
    keeper = Keeper(context.abtests, print)
    keeper.turn()
    keeper.turn()
    assert context.abtests.runs().find(run.name).running
    assert context.abtests.status(run.name).counts["units"] == 1200


def test_it_is_a_service_once_there_is_a_test(context: Context) -> None:
    def names() -> set[str]:
        return {service.spec.name for service in services.plan(context).services}

    assert "tests" not in names()
    context.abtests.status(context.abtests.start(READY, "to see").name)
    assert "tests" in names()
