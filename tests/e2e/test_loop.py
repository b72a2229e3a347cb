"""The whole loop on the real example, killed in the middle and run again to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.flights import flights
from triune.app.context import Context
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.ledger.ports import Query

TRIUNE = [sys.executable, "-m", "triune.cli.main"]

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("loop"),
]


def kill_when(root: Path, fact: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Run the loop until a step is done, then kill -9 it."""
    state = Workspace(root).state / "loop.json"
    loop = subprocess.Popen(
        [*TRIUNE, "loop"], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(
            lambda: (
                loop.poll() is not None
                or (state.exists() and fact in json.loads(state.read_text())["facts"])
            ),
            timeout=400,
            what=f"the loop's step {fact}",
        )
        assert loop.poll() is None
        meanwhile()
    finally:
        os.kill(loop.pid, signal.SIGKILL)
        loop.wait()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The example, its loop killed while traffic flowed and a canary was under way."""
    root = flights(tmp_path_factory.mktemp("loop") / "flights")

    def a_second_loop_is_refused() -> None:
        second = subprocess.run(
            [*TRIUNE, "loop", "--json"], cwd=root, capture_output=True, text=True, check=False
        )
        assert second.returncode == 9
        assert json.loads(second.stdout)["error"] == "already-running"
        status = subprocess.run(
            [*TRIUNE, "status", "--json"], cwd=root, capture_output=True, check=True
        )
        assert b'"running"' in status.stdout, "the refused loop must not stop the services"

    def a_canary_has_users() -> None:
        endpoint = Workspace(root).state / "endpoints" / "flights-delay.json"
        wait_until(
            lambda: ((json.loads(endpoint.read_text())["pending"] or {}).get("weight") or 0) > 0,
            timeout=60,
            what="units reach the canary",
        )
        a_second_loop_is_refused()

    kill_when(root, "shadow", a_canary_has_users)
    yield Workspace(root)
    subprocess.run([*TRIUNE, "down"], cwd=root, check=False, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def result(workspace: Workspace) -> dict[str, object]:
    """What the last run printed."""
    done = subprocess.run(
        [*TRIUNE, "loop", "--json"],
        cwd=workspace.root, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    value: dict[str, object] = json.loads(done.stdout)
    value["exit"], value["told"] = done.returncode, done.stderr
    return value


@pytest.mark.xdist_group("loop")
def test_the_last_run_says_that_it_resumes_and_what_it_keeps(result: dict[str, object]) -> None:
    assert "Resuming loop" in str(result["told"])
    assert "keeping train, register" in str(result["told"])


@pytest.mark.xdist_group("loop")
def test_every_check_of_the_loop_holds(result: dict[str, object]) -> None:
    checks = result["checks"]
    assert isinstance(checks, list)
    assert [c for c in checks if not c["ok"]] == []
    assert len(checks) == 19
    assert result["exit"] == 0


@pytest.mark.xdist_group("loop")
def test_nothing_is_in_the_ledger_twice(workspace: Workspace, result: dict[str, object]) -> None:
    assert result["ok"]
    context = Context(workspace)
    try:
        kinds = Counter(s.event.kind for s in context.ledger.select(Query()))
        served = [s.event.subject for s in context.ledger.select(Query(kind="prediction.served"))]
    finally:
        context.close()
    assert kinds["model.registered"] == 6
    assert kinds["run.finished"] == 6
    assert kinds["loop.finished"] == 1
    assert kinds["outcome.observed"] > 1_000
    assert len(set(served)) == len(served) > 3_000


@pytest.mark.xdist_group("loop")
def test_the_canary_of_the_killed_loop_was_aborted(
    workspace: Workspace, result: dict[str, object]
) -> None:
    assert "a loop that was killed left release:flights-delay@" in str(result["told"])
    context = Context(workspace)
    try:
        back = [s.event for s in context.ledger.select(Query(kind="rollout.rolled-back"))]
    finally:
        context.close()
    reasons = [event.payload["reason"] for event in back]
    assert "the loop that began it was killed" in reasons


@pytest.mark.xdist_group("loop")
def test_the_report_is_one_file_that_tells_the_story(
    workspace: Workspace, result: dict[str, object]
) -> None:
    text = Path(str(result["report"])).read_text()
    assert str(workspace.root) in str(result["report"])
    for words in ("rolled back", "refused", "AUC", "p99", "identical", "<svg"):
        assert words in text
    for words in ("Compared in the shadow", "promoted after", "taken back after"):
        assert words in text
    assert "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.xdist_group("loop")
def test_nothing_runs_after_it(workspace: Workspace, result: dict[str, object]) -> None:
    assert result["ok"]
    marked = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if environment.get("TRIUNE_MARKER") == workspace.marker:
            marked.append(process.name())
    assert marked == []
