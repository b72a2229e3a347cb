"""kill -9 at any line while a version is registered: it is there whole, or not at all."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.support.runs import bare_workspace, open_ledger, run_with_model
from triune.core.workspace import Workspace
from triune.ledger.ports import Query
from triune.models.registry import assembly, service, signing
from triune.models.registry.service import Registry

WATCHED = {service.__file__, assembly.__file__}
STRIDE = 5
"""Every fifth line is enough: registering runs through some 300, each kill costs a fork."""


def _in_child(work: Callable[[], None]) -> int:
    """Run the work in a forked child; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _register_and_die(workspace: Workspace, run: str, lines: int) -> Callable[[], None]:
    """Registers, and is killed after that many lines of the registry's own code."""
    left = lines

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def work() -> None:
        ledger = open_ledger(workspace)
        sys.settrace(trace)
        Registry(workspace, ledger).register(run)
        sys.settrace(None)
        ledger.close()

    return work


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = bare_workspace(tmp_path / "bare")
    signing.make_key(made.keys)
    import model_signing  # noqa: F401  # loaded once, so that each child is quick

    return made


@pytest.mark.timeout(240)
def test_a_version_is_there_whole_or_not_at_all(workspace: Workspace) -> None:
    run, killed = run_with_model(workspace), 0
    for lines in range(0, 10_000, STRIDE):
        if _in_child(_register_and_die(workspace, run, lines)) == 0:
            break
        killed += 1
        ledger = open_ledger(workspace)
        for version in Registry(workspace, ledger).versions():
            Registry(workspace, ledger).verify(version.ref)
        ledger.close()
    assert killed > 20
    ledger = open_ledger(workspace)
    registry = Registry(workspace, ledger)
    (version,) = registry.versions()
    assert version.number == 1
    assert registry.verify(version.ref).run == f"run:{run}"
    assert ledger.count(Query(kind="model.registered")) == 1
    assert [p.name for p in version.folder.parent.iterdir()] == ["1"]
    assert registry.register(run_with_model(workspace)).number == 2
    ledger.close()
