"""The catalogue of runs, and shipping them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import MemoryTracker, bare_workspace, open_ledger, run_with_model
from triune.core.errors import NotFound, Refused
from triune.core.workspace import Workspace
from triune.ledger.ports import Query
from triune.ledger.service import Ledger
from triune.models.registry.service import Registry
from triune.models.tracking import filters, start
from triune.models.tracking.catalog import RunCatalog
from triune.models.tracking.folders import Mark, RunFolders
from triune.models.tracking.model import RunStatus
from triune.models.tracking.sync import Shipper, Shipping


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return bare_workspace(tmp_path / "bare")


@pytest.fixture
def ledger(workspace: Workspace) -> Iterator[Ledger]:
    opened = open_ledger(workspace)
    yield opened
    opened.close()


@pytest.fixture
def catalog(workspace: Workspace, ledger: Ledger) -> RunCatalog:
    return RunCatalog(workspace, ledger)


def test_runs_are_filtered_and_sorted_by_any_metric(
    workspace: Workspace, catalog: RunCatalog
) -> None:
    for depth, auc in ((1, 0.5), (2, 0.7), (3, 0.6)):
        with start("sweep", workspace=workspace, params={"depth": depth}) as run:
            run.log(auc=auc)
    found = catalog.search([filters.condition("auc > 0.55")], order=filters.order("auc"))
    assert [run.metrics["auc"] for run in found] == [0.7, 0.6]
    by_depth = catalog.search(order=filters.order("params.depth", ascending=True))
    assert [run.params["depth"] for run in by_depth] == ["1", "2", "3"]
    assert RunFolders(workspace).marked(Mark.UNTOLD) == []


def test_a_running_run_is_listed_with_what_it_has(
    workspace: Workspace, catalog: RunCatalog
) -> None:
    with start("live", workspace=workspace) as run:
        run.log(auc=0.5)
        (found,) = catalog.search()
        assert (found.status, found.metrics) == ("running", {"auc": 0.5})
        assert not catalog.has_dead()
    (found,) = catalog.search()
    assert found.status == "finished"


def test_a_run_is_told_once_however_often(
    workspace: Workspace, catalog: RunCatalog, ledger: Ledger
) -> None:
    with start("once", workspace=workspace) as run:
        catalog.tell(run.id)
    for _ in range(3):
        catalog.tell(run.id)
    kinds = [stored.event.kind for stored in ledger.select(Query(kind="run.*"))]
    assert kinds == ["run.started", "run.finished"]


def test_a_run_is_found_by_a_part_of_its_id(workspace: Workspace, catalog: RunCatalog) -> None:
    with start("a", workspace=workspace) as run, start("b", workspace=workspace):
        pass
    assert catalog.get(run.id[-8:]).id == catalog.get(f"run:{run.id}").id == run.id
    for wrong in ("", "nobody", run.id[:4]):
        with pytest.raises(NotFound) as missing:
            catalog.get(wrong)
        assert missing.value.reference == "run-not-found"


@pytest.mark.parametrize("text", ["auc", "auc>", ">3", "auc>high", "started>yesterday"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        filters.condition(text)
    assert refusal.value.reference == "run-filter-invalid"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("auc>=0.5", ("metric", "auc", ">=", 0.5)),
        ("params.kind='deep net'", ("param", "kind", "=", "deep net")),
        ("metrics.status != 1", ("metric", "status", "!=", 1.0)),
        ("status=failed", ("attribute", "status", "=", "failed")),
        ("p 99/ms<3", ("metric", "p 99/ms", "<", 3.0)),
        ("started>1970-01-01T00:00:01+00:00", ("attribute", "started", ">", 1_000_000)),
    ],
)
def test_conditions_are_read(text: str, read: tuple[object, ...]) -> None:
    condition = filters.condition(text)
    assert (
        condition.field.value,
        condition.key,
        condition.operator,
        condition.value,
    ) == read


def test_everything_reaches_the_tracker(workspace: Workspace, catalog: RunCatalog) -> None:
    tracker, seen = MemoryTracker(), list[Shipping]()
    shipper = Shipper(workspace, catalog, tracker)
    assert not shipper.has_news()
    identifier = run_with_model(workspace)
    assert shipper.has_news()
    assert shipper.ship_all(seen.append) == 1
    (run,) = tracker.runs.values()
    assert run.record.id == identifier
    assert run.params == {"depth": "3"}
    assert list(run.points.values()) == [0.7]
    assert run.artifacts == ["model", "example.json"]
    assert run.status is RunStatus.FINISHED
    assert seen[-1].done == seen[-1].total
    assert catalog.search()[0].mlflow_id == "m0"
    assert not shipper.has_news()
    assert shipper.ship_all() == 0


def test_a_running_run_is_shipped_as_it_grows(workspace: Workspace, catalog: RunCatalog) -> None:
    tracker = MemoryTracker()
    shipper = Shipper(workspace, catalog, tracker)
    with start("live", workspace=workspace) as run:
        for step in range(5):
            run.log(step=step, a=float(step))
            shipper.ship_all()
            assert len(tracker.runs["m0"].points) == step + 1
    shipper.ship_all()
    assert len(tracker.runs) == 1
    assert tracker.runs["m0"].status is RunStatus.FINISHED


def test_versions_and_aliases_are_mirrored_in_order(
    workspace: Workspace, catalog: RunCatalog, ledger: Ledger
) -> None:
    tracker, registry = MemoryTracker(), Registry(workspace, ledger)
    for content in ("one", "two"):
        registry.register(run_with_model(workspace, content=content))
    registry.alias("delay", "champion", 1)
    registry.alias("delay", "champion", 2)
    Shipper(workspace, catalog, tracker).ship_all()
    assert tracker.versions == {("delay", 1): "m0", ("delay", 2): "m1"}
    assert tracker.aliases == {("delay", "champion"): 2}


def test_a_shipper_that_dies_after_any_call_loses_and_doubles_nothing(
    workspace: Workspace, catalog: RunCatalog, ledger: Ledger
) -> None:
    expected, survived = 12, False
    Registry(workspace, ledger).register(run_with_model(workspace))
    tracker = MemoryTracker()
    for calls in range(expected):
        tracker.fail_after = calls
        try:
            Shipper(workspace, catalog, tracker).ship_all()
        except KeyboardInterrupt:
            continue
        survived = True
    assert survived
    (run,) = tracker.runs.values()
    assert (len(run.points), run.params, set(run.artifacts)) == (
        1,
        {"depth": "3"},
        {"model", "example.json"},
    )
    assert tracker.versions == {("delay", 1): "m0"}
    assert ledger.count(Query(kind="run.shipped")) == 1


def test_a_run_whose_folder_was_removed_is_no_obstacle(
    workspace: Workspace, catalog: RunCatalog
) -> None:
    import shutil

    with start("gone", workspace=workspace) as run:
        pass
    shutil.rmtree(run.folder)
    assert Shipper(workspace, catalog, MemoryTracker()).ship_all() == 0
    assert catalog.search() == []


def test_another_tracker_is_given_everything_again(
    workspace: Workspace, catalog: RunCatalog, ledger: Ledger
) -> None:
    Registry(workspace, ledger).register(run_with_model(workspace))
    here, there = MemoryTracker(), MemoryTracker(identity="elsewhere")
    Shipper(workspace, catalog, here).ship_all()
    assert Shipper(workspace, catalog, there).ship_all() == 1
    assert [run.params for run in there.runs.values()] == [{"depth": "3"}]
    assert there.versions == here.versions
    assert Shipper(workspace, catalog, there).ship_all() == 0


class Forgetful(MemoryTracker):
    """Loses its runs, or will not take more of one."""

    def log(self, tracked: str, **what: Any) -> None:
        if tracked not in self.runs:
            raise NotFound("mlflow-run-gone", "no such run")
        if self.runs[tracked].record.name == "unwanted":
            raise Refused("mlflow-refused", "it was deleted")
        super().log(tracked, **what)


def test_a_run_the_tracker_lost_is_sent_again(workspace: Workspace, catalog: RunCatalog) -> None:
    tracker = Forgetful()
    shipper = Shipper(workspace, catalog, tracker)
    with start("lost", workspace=workspace) as run:
        run.log(step=0, a=0.0)
        shipper.ship_all()
        tracker.runs.clear()
        run.log(step=1, a=1.0)
    shipper.ship_all()
    (sent,) = tracker.runs.values()
    assert list(sent.points.values()) == [0.0, 1.0]


def test_a_run_the_tracker_refuses_keeps_no_other_from_it(
    workspace: Workspace, catalog: RunCatalog
) -> None:
    tracker = Forgetful()
    shipper = Shipper(workspace, catalog, tracker)
    for name in ("unwanted", "wanted"):
        with start(name, workspace=workspace) as run:
            run.log(a=1.0)
    shipper.ship_all()
    done = {run.record.name: run.status for run in tracker.runs.values()}
    assert done == {"unwanted": RunStatus.RUNNING, "wanted": RunStatus.FINISHED}
    assert not shipper.has_news()
