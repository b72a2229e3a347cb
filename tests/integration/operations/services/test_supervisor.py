"""The supervisor on real processes: start, keep, replace, remove, stop, tell."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.services import MakeWorkspace, nothing_left, pid_of, status_of, web

from triune.core.errors import Conflict, Refused, Unavailable
from triune.core.process import FileReady, ProcessSpec, TcpReady
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.operations.services import processes
from triune.operations.services.model import Phase, ProcessState, Progress, Service
from triune.operations.services.supervisor import Supervisor

pytestmark = pytest.mark.engine

_SLEEP = "import time; time.sleep(600)"


def _sleeper(workspace: Workspace, name: str, code: str = "", **settings: object) -> ProcessSpec:
    """A process that writes its file and waits."""
    ready = workspace.run_folder / f"{name}.ready"
    text = f"{code}; open({str(ready)!r}, 'w').close(); {_SLEEP}"
    argv = (sys.executable, "-I", "-S", "-c", text.lstrip("; "))
    return ProcessSpec(name, argv, FileReady(ready), **settings)  # type: ignore[arg-type]


def test_up_starts_and_down_leaves_nothing(workspace: Workspace, supervisor: Supervisor) -> None:
    statuses = supervisor.up([web(workspace)])
    assert [(s.name, s.state, s.ready, s.restarts) for s in statuses] == [
        ("web", ProcessState.RUNNING, True, 0)
    ]
    assert (statuses[0].rss or 0) > 1_000_000
    assert statuses[0].uptime is not None
    assert supervisor.running()
    assert supervisor.down() == ("web",)
    assert nothing_left(workspace)
    assert supervisor.status() == ()
    assert not supervisor.running()
    assert supervisor.down() == ()


def test_up_while_up_starts_only_what_is_missing(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    supervisor.up([web(workspace)])
    before = pid_of(supervisor, "web")
    seen: list[Progress] = []
    supervisor.up([web(workspace), web(workspace, "other")], seen.append)
    assert pid_of(supervisor, "web") == before
    ready = {p.name: p.fresh for p in seen if p.phase is Phase.READY}
    assert ready == {"web": False, "other": True}


def test_two_ups_at_once_start_one_set(workspace: Workspace) -> None:
    specs = [web(workspace), web(workspace, "other")]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: Supervisor(workspace).up(specs), range(2)))
    assert [s.pid for s in both[0]] == [s.pid for s in both[1]]
    daemons = [p for p in processes.marked(workspace.marker) if p.parent == 1]
    assert len(processes.marked(workspace.marker)) == 3
    assert len(daemons) <= 1


def test_order_is_kept_and_reversed(workspace: Workspace, supervisor: Supervisor) -> None:
    seen: list[Progress] = []
    specs = [
        _sleeper(workspace, name, order=order) for name, order in (("b", 2), ("a", 1), ("c", 3))
    ]
    supervisor.up(specs, seen.append)
    assert [p.name for p in seen if p.phase is Phase.READY] == ["a", "b", "c"]
    steps = [(p.name, p.phase) for p in seen]
    assert steps.index(("a", Phase.READY)) < steps.index(("b", Phase.PREPARING))
    assert supervisor.down() == ("c", "b", "a")


def test_ensure_keeps_what_is_the_same_and_replaces_what_is_not(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    spec = web(workspace)
    supervisor.up([spec])
    first = pid_of(supervisor, "web")
    supervisor.ensure(spec)
    assert pid_of(supervisor, "web") == first
    supervisor.ensure(replace(spec, env={"A": "1"}))
    second = pid_of(supervisor, "web")
    assert second != first
    assert b"A=1" in Path(f"/proc/{second}/environ").read_bytes().split(b"\0")


def test_many_ensures_at_once(workspace: Workspace, supervisor: Supervisor) -> None:
    supervisor.up([])
    names = [f"s{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: supervisor.ensure(_sleeper(workspace, name)), names))
    assert sorted(s.name for s in supervisor.status() if s.ready) == names
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(supervisor.remove, names))
    assert supervisor.status() == ()


def test_ensure_without_up_says_what_to_do(workspace: Workspace, supervisor: Supervisor) -> None:
    with pytest.raises(Unavailable) as caught:
        supervisor.ensure(web(workspace))
    assert caught.value.reference == "services-not-running"
    assert caught.value.hint == "Run `triune up`."


def test_a_process_that_dies_is_given_up_early_with_its_log(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    supervisor.up([])
    spec = ProcessSpec("bad", ("/bin/sh", "-c", "echo the reason; exit 3"), TcpReady(1))
    with pytest.raises(Unavailable) as caught:
        supervisor.ensure(spec)
    assert caught.value.reference == "service-not-ready"
    assert "the reason" in caught.value.message
    assert caught.value.context == str(supervisor.log("bad"))
    assert supervisor.status() == ()


def test_the_log_shown_is_of_this_start_only(workspace: Workspace, supervisor: Supervisor) -> None:
    supervisor.up([])
    supervisor.log("bad").write_text("from an earlier life\n")
    spec = ProcessSpec("bad", ("/bin/sh", "-c", "echo now; exit 3"), TcpReady(1), restart=False)
    with pytest.raises(Unavailable) as caught:
        supervisor.ensure(spec)
    assert "now" in caught.value.message
    assert "earlier" not in caught.value.message


def test_a_program_that_does_not_exist_is_named(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    with pytest.raises(Unavailable, match="/no/such/program"):
        supervisor.up([ProcessSpec("bad", ("/no/such/program",), TcpReady(1))])


def test_one_that_never_gets_ready_is_given_up_in_time(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    spec = ProcessSpec(
        "slow",
        (sys.executable, "-I", "-S", "-c", _SLEEP),
        FileReady(workspace.root / "never"),
        ready_seconds=0.3,
    )
    with pytest.raises(Unavailable, match=r"within 0\.3 seconds"):
        supervisor.up([spec])
    assert len(processes.marked(workspace.marker)) == 1


def test_a_stop_that_follows_the_start_at_once_is_not_lost(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    supervisor.up([])
    never = FileReady(workspace.root / "never")
    begin = time.monotonic()
    for _ in range(5):
        with pytest.raises(Unavailable):
            supervisor.ensure(ProcessSpec("s", ("/bin/sleep", "60"), never, ready_seconds=0))
    assert time.monotonic() - begin < 10  # one lost signal costs the ten seconds until SIGKILL


def test_a_strangers_answer_does_not_pass_for_readiness(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    supervisor.up([web(workspace)])
    taken = web(workspace).ready
    with pytest.raises(Conflict) as caught:
        supervisor.ensure(ProcessSpec("thief", ("/bin/sleep", "60"), taken))
    assert caught.value.reference == "port-taken"
    assert f"(pid {pid_of(supervisor, 'web')})" in caught.value.message


def test_prepare_runs_before_and_settle_after(workspace: Workspace, supervisor: Supervisor) -> None:
    spec, steps = web(workspace), []

    def note(word: str) -> Callable[[], None]:
        return lambda: steps.append((word, bool(supervisor.status())))

    supervisor.up([Service(spec, prepare=note("prepare"), settle=note("settle"))])
    assert steps == [("prepare", False), ("settle", True)]
    supervisor.up([Service(spec, prepare=note("prepare"), settle=note("settle"))])
    assert steps[2:] == [("settle", True)]


def test_one_that_ignores_the_stop_signal_is_killed_in_time(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    supervisor.up([_sleeper(workspace, "deaf", deaf, stop_seconds=1)])
    supervisor.remove("deaf")
    assert supervisor.status() == ()
    assert len(processes.marked(workspace.marker)) == 1


def test_children_of_a_removed_process_go_with_it(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_SLEEP!r}])"
    supervisor.up([_sleeper(workspace, "parent", child)])
    assert len(processes.marked(workspace.marker)) == 3
    supervisor.remove("parent")
    wait_until(lambda: len(processes.marked(workspace.marker)) == 1, timeout=5, what="child gone")


def test_signals_arrive(workspace: Workspace, supervisor: Supervisor) -> None:
    mark = workspace.root / "got"
    code = f"import signal; signal.signal(signal.SIGHUP, lambda *_: open({str(mark)!r}, 'w'))"
    supervisor.up([_sleeper(workspace, "s", code)])
    assert supervisor.signal("s", "HUP")
    wait_until(mark.exists, timeout=5, what="the signal")
    assert not supervisor.signal("nobody", "HUP")
    supervisor.down()
    assert not supervisor.signal("s", "HUP")


def test_only_chosen_variables_reach_a_service(workspace: Workspace) -> None:
    environment = {**os.environ, "MY_TOKEN": "secret", "AWS_SECRET_ACCESS_KEY": "x", "LC_ALL": "C"}
    supervisor = Supervisor(workspace, environment=environment)
    supervisor.up([web(workspace, env={"GIVEN": "yes"})])
    found = Path(f"/proc/{pid_of(supervisor, 'web')}/environ").read_text().split("\0")
    names = {line.partition("=")[0] for line in found}
    assert {"GIVEN", "LC_ALL", "PATH", "TRIUNE_MARKER", "PYTHONUNBUFFERED"} <= names
    assert not {"MY_TOKEN", "AWS_SECRET_ACCESS_KEY"} & names


def test_everything_it_writes_is_for_the_owner_only(
    workspace: Workspace, supervisor: Supervisor
) -> None:
    supervisor.up([web(workspace)])
    for folder in (workspace.run_folder, workspace.logs, workspace.run_folder / "programs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [p for p in workspace.run_folder.rglob("*") if not p.is_dir()]
    assert len(files) >= 5
    assert {path.name for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077} == set()


@pytest.mark.parametrize("name", ["with space", "a [b] #1 ;c %s", "d" * 120])
def test_a_workspace_may_be_called_anything(make_workspace: MakeWorkspace, name: str) -> None:
    workspace = make_workspace(name)
    supervisor = Supervisor(workspace)
    assert supervisor.up([web(workspace)])[0].ready
    supervisor.ensure(web(workspace, "more"))
    assert set(supervisor.down()) == {"web", "more"}
    assert nothing_left(workspace)


def test_a_foreign_folder_for_sockets_is_refused(
    make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    workspace = make_workspace("d" * 120)
    (tmp_path / "elsewhere").mkdir()
    workspace.sockets.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(Refused) as caught:
            Supervisor(workspace).up([])
    finally:
        workspace.sockets.unlink()
    assert caught.value.reference == "socket-folder-unsafe"


def test_two_workspaces_do_not_disturb_each_other(make_workspace: MakeWorkspace) -> None:
    one, two = make_workspace("one"), make_workspace("two")
    first, second = Supervisor(one), Supervisor(two)
    first.up([web(one)])
    second.up([web(two)])
    before = pid_of(first, "web")
    second.down()
    assert nothing_left(two)
    assert status_of(first, "web").ready
    assert pid_of(first, "web") == before


def test_readiness_is_asked_again_by_status(workspace: Workspace, supervisor: Supervisor) -> None:
    spec = _sleeper(workspace, "s")
    supervisor.up([spec])
    assert isinstance(spec.ready, FileReady)
    spec.ready.path.unlink()
    assert not status_of(supervisor, "s").ready
