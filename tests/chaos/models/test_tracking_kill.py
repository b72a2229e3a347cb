"""kill -9 of a process that logs, and of the process that ships: MLflow has every call, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres, running
from tests.support.runs import bare_workspace, open_ledger
from triune.core.errors import Unavailable
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.models.tracking import start
from triune.models.tracking.backends.mlflow import MlflowTracker
from triune.models.tracking.catalog import RunCatalog
from triune.models.tracking.model import RunStatus
from triune.models.tracking.sync import Shipper

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("mlflow")]

LOGGING = """
import sys, triune
with triune.run("doomed", params={"depth": 3}, workspace=sys.argv[1]) as run:
    run.artifact(b"kept", "kept.txt")
    step = 0
    while True:
        run.log(step=step, loss=1.0 / (step + 1), square=float(step * step))
        print(step, flush=True)
        step += 1
"""

SHIPPING = """
import os, signal, sys
from pathlib import Path
from tests.support.runs import open_ledger
from triune.core.workspace import Workspace
from triune.models.tracking.backends.mlflow import MlflowTracker
from triune.models.tracking.catalog import RunCatalog
from triune.models.tracking.sync import Shipper

root, uri, artifacts, call, when = sys.argv[1:]
calls = int(call)

class Doomed(MlflowTracker):
    pass

def doomed(name):
    real = getattr(MlflowTracker, name)
    def method(self, *arguments, **named):
        global calls
        calls -= 1
        if calls < 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(self, *arguments, **named)
        if calls < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return method

for name in ("create", "log", "keep", "end"):
    setattr(Doomed, name, doomed(name))
space = Workspace(Path(root))
ledger = open_ledger(space)
Shipper(space, RunCatalog(space, ledger), Doomed(uri, artifacts, "bare")).ship_all()
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return bare_workspace(tmp_path / "bare")


def _tracker(workspace: Workspace, uri: str = "") -> MlflowTracker:
    database = workspace.home / "mlflow" / "mlflow.db"
    return MlflowTracker(
        uri or f"sqlite:///{database}", (workspace.home / "mlflow" / "files").as_uri(), "bare"
    )


def _histories(tracker: MlflowTracker, identifier: str) -> dict[str, list[tuple[int, float]]]:
    """All of a run's metrics as MLflow has them, in the order of their steps."""
    tracked = tracker.find(identifier)
    client = tracker._client
    run = client.get_run(tracked)
    return {
        name: sorted((m.step, m.value) for m in client.get_metric_history(tracked, name))
        for name in run.data.metrics
    }


def _acknowledged(process: subprocess.Popen[str], enough: int) -> int:
    """The last step the process said it had logged before it was killed."""
    assert process.stdout is not None
    last = -1
    for line in process.stdout:
        last = int(line)
        if last >= enough:
            process.send_signal(signal.SIGKILL)
            break
    rest = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    return int(rest[-1]) if rest else last


def test_every_call_a_killed_process_made_is_in_mlflow(workspace: Workspace) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOGGING, str(workspace.root)], stdout=subprocess.PIPE, text=True
    )
    last = _acknowledged(process, 3000)
    ledger = open_ledger(workspace)
    catalog, tracker = RunCatalog(workspace, ledger), _tracker(workspace)
    Shipper(workspace, catalog, tracker).ship_all()
    (run,) = catalog.search()
    assert run.status == "killed"
    assert catalog.get(run.id).error.startswith(f"process {process.pid} on ")
    found = _histories(tracker, run.id)
    steps = [step for step, _ in found["square"]]
    assert steps == list(range(len(steps)))
    assert len(steps) in (last + 1, last + 2)
    assert found["loss"] == [(step, 1.0 / (step + 1)) for step in steps]
    tracked = tracker._client.get_run(run.mlflow_id)
    assert tracked.info.status == "KILLED"
    assert tracked.data.params == {"depth": "3"}
    assert [a.path for a in tracker._client.list_artifacts(run.mlflow_id)] == ["kept.txt"]
    ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_shipper_loses_and_doubles_nothing(workspace: Workspace, when: str) -> None:
    with start("long", workspace=workspace, params={"a": 1}) as run:
        for step in range(4500):
            run.log(step=step, loss=float(step))
        run.artifact(b"kept", "kept.txt")
    tracker = _tracker(workspace)
    assert tracker.find(run.id) is None  # makes the database, so that each child is quick
    files = (workspace.home / "mlflow" / "files").as_uri()
    uri = f"sqlite:///{workspace.home / 'mlflow' / 'mlflow.db'}"
    for call in (0, 1, 3):
        done = subprocess.run(
            [sys.executable, "-c", SHIPPING, str(workspace.root), uri, files, str(call), when],
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        assert done.returncode == -signal.SIGKILL
    ledger = open_ledger(workspace)
    Shipper(workspace, RunCatalog(workspace, ledger), tracker).ship_all()
    assert len(tracker._client.search_runs([tracker._experiment])) == 1
    assert _histories(tracker, run.id)["loss"] == [(s, float(s)) for s in range(4500)]
    ledger.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


def test_mlflows_database_may_die_and_come_back(workspace: Workspace, postgres: Postgres) -> None:
    ledger = open_ledger(workspace)
    tracker = _tracker(workspace, postgres.fresh_database("mlflow"))
    shipper = Shipper(workspace, RunCatalog(workspace, ledger), tracker)
    with start("through it all", workspace=workspace) as run:
        run.log(step=0, a=0.0)
        shipper.ship_all()
        postgres.stop(signal.SIGKILL)
        run.log(step=1, a=1.0)
        with pytest.raises(Unavailable) as away:
            shipper.ship_all()
        assert away.value.reference == "mlflow-unreachable"
        postgres.start()
        run.log(step=2, a=2.0)
        shipper.ship_all()
        run.log(step=3, a=3.0)
    shipper.ship_all()
    assert _histories(tracker, run.id) == {"a": [(s, float(s)) for s in range(4)]}
    ledger.close()


def test_the_daemon_ships_what_comes_and_buries_the_dead(workspace: Workspace) -> None:
    daemon = subprocess.Popen(
        [sys.executable, "-m", "triune.app.tracker", str(workspace.root)],
        stdout=subprocess.DEVNULL,
    )
    ready = workspace.run_folder / "tracker.ready"
    doomed = None
    try:
        wait_until(ready.exists, timeout=20, what="the tracker")
        doomed = subprocess.Popen(
            [sys.executable, "-c", LOGGING, str(workspace.root)], stdout=subprocess.PIPE, text=True
        )
        last = _acknowledged(doomed, 50)
        ledger = open_ledger(workspace)
        index = ledger.runs

        def complete() -> bool:
            return any(
                run.mlflow_id and run.status == RunStatus.KILLED.value for run in index.search()
            )

        wait_until(complete, timeout=60, what="the killed run in MLflow")
        (run,) = index.search()
        shipped = workspace.runs / run.id / "shipped.json"
        wait_until(lambda: '"complete": true' in shipped.read_text(), timeout=60, what="the end")
        assert len(_histories(_tracker(workspace), run.id)["loss"]) in (last + 1, last + 2)
        ledger.close()
    finally:
        for process in (daemon, doomed):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(20)
    assert daemon.returncode == 0
    assert not ready.exists()
