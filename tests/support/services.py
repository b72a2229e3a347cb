"""Workspaces whose services are cleared away after the test, and small processes to run."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from triune.core.config import SERVICE_NAMES
from triune.core.process import HttpReady, ProcessSpec
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.operations.services import processes
from triune.operations.services.addresses import Addresses
from triune.operations.services.engines.postgres import SYSTEM_FOLDER
from triune.operations.services.model import ProcessStatus
from triune.operations.services.supervisor import Supervisor

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture
def make_workspace(tmp_path: Path) -> Iterator[MakeWorkspace]:
    """Makes workspaces by name; their processes and root-owned data go with the test."""
    made: list[Workspace] = []

    def make(name: str = "x", settings: str = "") -> Workspace:
        root = tmp_path / name
        root.mkdir()
        (root / "triune.toml").write_text(f'[workspace]\nname = "x"\n{settings}')
        made.append(Workspace(root))
        return made[-1]

    yield make
    with ExitStack() as stack:
        for workspace in made:
            stack.callback(clear, workspace)


def clear(workspace: Workspace) -> None:
    """End a workspace's processes and delete the data that root keeps outside of it, even
    where something would not end: nobody would find that data again."""
    try:
        Supervisor(workspace).down()
    finally:
        outside = SYSTEM_FOLDER / workspace.marker
        if outside.exists():
            shutil.rmtree(outside)


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    return make_workspace()


@pytest.fixture
def supervisor(workspace: Workspace) -> Supervisor:
    return Supervisor(workspace)


def web(workspace: Workspace, name: str = "web", **settings: object) -> ProcessSpec:
    """A web server that is ready in a tenth of a second."""
    port = Addresses(workspace).port(name)
    argv = (sys.executable, "-I", "-m", "http.server", str(port), "--bind", "127.0.0.1")
    return ProcessSpec(
        name=name,
        argv=argv,
        ready=HttpReady(f"http://127.0.0.1:{port}/"),
        cwd=workspace.root,
        **settings,  # type: ignore[arg-type]
    )


def status_of(supervisor: Supervisor, name: str) -> ProcessStatus:
    """The status of one process; fails the test when there is none."""
    return next(status for status in supervisor.status() if status.name == name)


def pid_of(supervisor: Supervisor, name: str) -> int:
    """The pid of one running process."""
    pid = status_of(supervisor, name).pid
    assert pid is not None
    return pid


def supervisor_pid(workspace: Workspace) -> int:
    """The pid of the supervising process."""
    return int((workspace.home / "run/supervisor.pid").read_text())


def kill(pid: int) -> None:
    """kill -9, and wait until it is gone."""
    process = processes.read(pid)
    assert process is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not process.alive(), timeout=10, what=f"{pid} dies")


def nothing_left(workspace: Workspace) -> bool:
    """Whether no process with the workspace's marker and no socket of it exists."""
    sockets = list(workspace.run_folder.glob("*.sock")) + list(workspace.sockets.glob("*.sock"))
    return not processes.marked(workspace.marker) and not sockets


def only(*names: str, profile: str = "local") -> str:
    """Settings that leave out every service but these."""
    off = (name for name in SERVICE_NAMES if name not in names)
    tables = "".join(f"[services.{name}]\nenabled = false\n" for name in off)
    return f'profile = "{profile}"\n{tables}'


def listening(workspace: Workspace) -> set[tuple[str, int]]:
    """Every address that the workspace's processes listen on."""
    ours = {process.pid for process in processes.marked(workspace.marker)}
    found = psutil.net_connections(kind="inet")
    return {(c.laddr[0], c.laddr[1]) for c in found if c.pid in ours and c.status == "LISTEN"}
