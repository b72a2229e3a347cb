"""Finding processes by their marker, and never touching any other."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from triune.core.waiting import wait_until
from triune.operations.services import processes

_WAIT = (sys.executable, "-I", "-S", "-c", "import sys; print(1, flush=True); sys.stdin.read()")
_DEAF = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print(1, flush=True); sys.stdin.read()"
)


class _Spawner:
    def __init__(self) -> None:
        self.all: list[subprocess.Popen[bytes]] = []

    def __call__(self, marker: str | None, *argv: str) -> subprocess.Popen[bytes]:
        env = {"PATH": os.defpath} | ({"TRIUNE_MARKER": marker} if marker else {})
        process = subprocess.Popen(argv or _WAIT, env=env, stdin=-1, stdout=-1)
        assert process.stdout is not None
        process.stdout.readline()
        self.all.append(process)
        return process


@pytest.fixture
def spawn() -> Iterator[_Spawner]:
    spawner = _Spawner()
    yield spawner
    for process in spawner.all:
        process.kill()
        process.communicate()


def _pids(marker: str) -> set[int]:
    return {process.pid for process in processes.marked(marker)}


def test_only_the_marked_are_found(spawn: _Spawner) -> None:
    marker = f"m{os.getpid()}a"
    ours = spawn(marker)
    spawn(None)
    spawn(marker + "b")
    assert _pids(marker) == {ours.pid}


def test_descendants_are_found_though_they_dropped_the_marker(spawn: _Spawner) -> None:
    marker = f"m{os.getpid()}c"
    shell = spawn(marker, "/bin/sh", "-c", "env -i sleep 60 & echo 1; wait")
    wait_until(lambda: len(_pids(marker)) == 2, timeout=5, what="the child")
    assert shell.pid in _pids(marker)
    assert processes.clear(marker) == 2
    assert _pids(marker) == set()


def test_clearing_ends_the_deaf_too_and_spares_the_rest(spawn: _Spawner) -> None:
    marker = f"m{os.getpid()}d"
    polite = spawn(marker)
    deaf = spawn(marker, sys.executable, "-I", "-S", "-c", _DEAF)
    stranger = spawn(None)
    assert processes.clear(marker, patience=0.2) == 2
    assert polite.wait(5) == -15
    assert deaf.wait(5) == -9
    assert stranger.poll() is None
    assert processes.clear(marker) == 0


def test_the_caller_and_its_ancestors_are_spared(spawn: _Spawner) -> None:
    marker = f"m{os.getpid()}e"
    code = (
        "from triune.operations.services import processes as p;"
        f"print(p.clear({marker!r}), flush=True)"
    )
    inner = f"{sys.executable} -c {shlex.quote(code)}; echo survived"
    done = subprocess.run(
        ["/bin/sh", "-c", f"sleep 60 & {inner}"],
        env={"TRIUNE_MARKER": marker, "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["1", "survived"]


def test_a_reused_pid_is_another_process(spawn: _Spawner) -> None:
    child = spawn(None)
    now = processes.read(child.pid)
    assert now is not None
    assert now.alive()
    earlier = processes.Process(now.pid, now.parent, now.started - 1, now.group, now.name)
    assert not earlier.alive()
    earlier.send(processes.signal.SIGKILL)
    assert child.poll() is None


def test_a_zombie_is_not_alive(spawn: _Spawner) -> None:
    child = spawn(None)
    process = processes.read(child.pid)
    assert process is not None
    child.kill()
    wait_until(lambda: not process.alive(), timeout=5, what="the zombie")
    assert processes.read(child.pid) is None


def test_memory_and_age_are_plausible() -> None:
    me = processes.read(os.getpid())
    assert me is not None
    assert 1_000_000 < processes.memory(me.pid, processes.everyone()) < 100_000_000_000
    assert 0 <= processes.age(me) < 86_400
