"""kill -9 of a service, of the supervisor, of `triune up` itself: the next `up` is clean."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.keyboard import INTERRUPTIBLE
from tests.support.services import (
    MakeWorkspace,
    kill,
    nothing_left,
    pid_of,
    status_of,
    supervisor_pid,
    web,
)

from triune.core.errors import Unavailable
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.operations.services import processes
from triune.operations.services.model import Phase, Progress
from triune.operations.services.supervisor import Supervisor

pytestmark = pytest.mark.engine

_UP = """
import sys
from pathlib import Path
from tests.support.services import web
from triune.core.workspace import Workspace
from triune.operations.services.supervisor import Supervisor
workspace = Workspace(Path(sys.argv[1]))
specs = [web(workspace, f"s{n}", order=n) for n in range(5)]
Supervisor(workspace).up(specs, lambda p: print(p.name, p.phase.value, flush=True))
"""

_NEVER = """
from triune.core.process import FileReady, ProcessSpec
specs = [ProcessSpec("never", ("/bin/sleep", "600"), FileReady(Path("/no/such/file")))]
"""


def test_a_killed_service_is_started_again(workspace: Workspace, supervisor: Supervisor) -> None:
    supervisor.up([web(workspace)])
    before = pid_of(supervisor, "web")
    kill(before)
    wait_until(
        lambda: status_of(supervisor, "web").ready and pid_of(supervisor, "web") != before,
        timeout=10,
        what="web is back",
    )
    assert status_of(supervisor, "web").restarts == 1


def test_after_a_killed_supervisor_up_clears_what_is_left_and_starts_clean(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    supervisor.up([web(workspace), web(workspace, "other")])
    orphans = {pid_of(supervisor, "web"), pid_of(supervisor, "other")}
    kill(supervisor_pid(workspace))
    assert not supervisor.running()
    assert {p.pid for p in processes.marked(workspace.marker)} == orphans
    seen: list[Progress] = []
    statuses = supervisor.up([web(workspace), web(workspace, "other")], seen.append)
    assert (seen[0].phase, seen[0].note) == (Phase.CLEARED, "cleared 2 left from before")
    assert all(status.ready for status in statuses)
    assert not orphans & {status.pid for status in statuses}
    assert len(processes.marked(workspace.marker)) == 3


def test_after_a_killed_supervisor_down_clears_what_is_left(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    supervisor.up([web(workspace)])
    kill(supervisor_pid(workspace))
    supervisor.down()
    assert nothing_left(workspace)


def test_a_frozen_supervisor_is_named_by_up_and_cleared_by_down(workspace: Workspace) -> None:
    supervisor = Supervisor(workspace, patience=0.5)
    supervisor.up([web(workspace)])
    os.kill(supervisor_pid(workspace), signal.SIGSTOP)
    with pytest.raises(Unavailable) as caught:
        supervisor.up([web(workspace)])
    assert caught.value.reference == "supervisor-silent"
    supervisor.down()
    assert nothing_left(workspace)


def test_processes_of_others_are_never_touched(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    argv = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)", workspace.marker]
    with subprocess.Popen(argv, env={"TRIUNE_MARKER": workspace.marker + "0"}) as stranger:
        supervisor.up([web(workspace)])
        kill(supervisor_pid(workspace))
        supervisor.up([web(workspace)])
        supervisor.down()
        assert stranger.poll() is None
        stranger.kill()


def test_stale_socket_and_pid_files_are_not_believed(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    workspace.run_folder.mkdir(parents=True)
    (workspace.home / "run/supervisor.pid").write_text(f"{os.getpid()}\n")
    (workspace.run_folder / "ctl.sock").touch()
    assert not supervisor.running()
    assert supervisor.up([web(workspace)])[0].ready
    supervisor.down()
    assert nothing_left(workspace)


@pytest.mark.parametrize("last_word", ["s0 starting", "s1 ready", "s3 preparing", "s4 starting"])
def test_up_killed_in_the_middle_is_finished_by_the_next(
    make_workspace: MakeWorkspace, last_word: str
) -> None:
    workspace = make_workspace()
    with subprocess.Popen(
        [sys.executable, "-c", _UP, str(workspace.root)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    ) as up:
        assert up.stdout is not None
        for line in up.stdout:
            if line.strip() == last_word:
                break
        up.kill()
    supervisor = Supervisor(workspace)
    statuses = supervisor.up([web(workspace, f"s{n}", order=n) for n in range(5)])
    assert [(s.name, s.ready) for s in statuses] == [(f"s{n}", True) for n in range(5)]
    assert len(processes.marked(workspace.marker)) == 6
    supervisor.down()
    assert nothing_left(workspace)


def test_up_interrupted_by_the_keyboard_ends_at_once(workspace: Workspace) -> None:
    code = _UP.replace('specs = [web(workspace, f"s{n}", order=n) for n in range(5)]', _NEVER)
    with subprocess.Popen(
        [*INTERRUPTIBLE, sys.executable, "-c", code, str(workspace.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    ) as up:
        assert up.stdout is not None
        for line in up.stdout:
            if line.strip() == "never starting":
                break
        up.send_signal(signal.SIGINT)
        assert up.wait(10) != 0
    assert Supervisor(workspace).status() == ()


def test_the_supervisor_outlives_the_command_and_its_terminal(workspace: Workspace) -> None:
    subprocess.run(
        [sys.executable, "-c", _UP, str(workspace.root)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[4],
    )
    daemon = supervisor_pid(workspace)
    assert os.getsid(daemon) != os.getsid(0)
    assert all(status.ready for status in Supervisor(workspace).status())
