"""kill -9 of whoever carries out a scheduled change of a flag: it is made once, late if need be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.delivery import ROOT
from tests.support.runs import bare_workspace, open_ledger
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.delivery.flags.model import Flag
from triune.delivery.flags.plans import Plan
from triune.delivery.flags.service import Flags
from triune.ledger.ports import Query

DOOMED = """
import os, signal, sys
from pathlib import Path
from tests.support.runs import open_ledger
from triune.core.workspace import Workspace
from triune.delivery.flags.planning import Planning
from triune.delivery.flags.service import Flags

ledger = open_ledger(Workspace(Path(sys.argv[1])))
record = ledger.record

def killed(*events, **how):
    if sys.argv[2] == "after":
        record(*events, **how)
    os.kill(os.getpid(), signal.SIGKILL)

ledger.record = killed
Planning(ledger, Flags(ledger, "bare"), "bare").carry_out()
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return bare_workspace(tmp_path / "bare")


@contextmanager
def guard(workspace: Workspace) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-P", "-m", "triune.app.guard", str(workspace.root)]
    with (workspace.root / "guard.log").open("ab") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
    ready = workspace.run_folder / "guard.ready"
    try:
        wait_until(ready.exists, timeout=30, what="the guard is ready")
        yield process
    finally:
        process.kill()
        process.wait()
        ready.unlink(missing_ok=True)


def schedule(workspace: Workspace, *, seconds: float) -> datetime:
    """A flag that goes on for everybody in as many seconds."""
    ledger = open_ledger(workspace)
    flags, at = Flags(ledger, workspace.name), datetime.now(UTC) + timedelta(seconds=seconds)
    if not flags.current().flags:
        flags.set(Flag("f", enabled=True, variants={"on": True, "off": False}, default="off"), "x")
    assert isinstance(flags.default("f", "on", "launch", at=at), Plan)
    ledger.close()
    return at


def done(workspace: Workspace) -> list[datetime]:
    """When the flag was changed to be on."""
    ledger = open_ledger(workspace)
    found = [s.event for s in ledger.select(Query(kind="flag.changed", subject="flag:f"))]
    ledger.close()
    return [one.at for one in found if one.payload["after"]["defaultVariant"] == "on"]


def passed(at: datetime) -> None:
    wait_until(lambda: datetime.now(UTC) > at, timeout=10, what="the time has passed")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_before_or_after_it_is_written(workspace: Workspace, moment: str) -> None:
    passed(schedule(workspace, seconds=0.2))
    argv = [sys.executable, "-c", DOOMED, str(workspace.root), moment]
    assert subprocess.run(argv, cwd=ROOT, check=False).returncode == -9
    assert len(done(workspace)) == (moment == "after")
    with guard(workspace):
        wait_until(lambda: done(workspace), timeout=20, what="the flag is on")
    with guard(workspace):
        pass
    assert len(done(workspace)) == 1


def test_the_guard_does_it_in_time_and_after_an_outage(workspace: Workspace) -> None:
    with guard(workspace):
        at = schedule(workspace, seconds=1)
        wait_until(lambda: done(workspace), timeout=20, what="the flag is on")
    (first,) = done(workspace)
    assert timedelta(0) <= first - at
    passed(schedule(workspace, seconds=0.2))
    with guard(workspace):
        log = workspace.root / "guard.log"
        wait_until(lambda: b"f.2 (default): nothing-to-do" in log.read_bytes(), timeout=20, what="")
    assert len(done(workspace)) == 1
