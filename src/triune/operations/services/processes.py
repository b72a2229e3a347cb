"""Finding and clearing the processes of one workspace by the marker in their environment.

A process is ours when its environment says ``TRIUNE_MARKER=<marker>``, or when its
environment cannot be read and its arguments name the marker's folder, or when it descends
from such a process. The caller and its ancestors are never among them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be confused with a later one of the same pid.

    ``started`` is its start time in clock ticks since boot, which no clock change moves.
    """

    pid: int
    parent: int
    started: int
    group: int
    name: str

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        now = read(self.pid)
        return now is not None and now.started == self.started

    def send(self, number: signal.Signals) -> None:
        """Signal it, unless it is gone or its pid belongs to another by now."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def read(pid: int) -> Process | None:
    """The process with this pid; None when there is none or it is a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), int(fields[19]), int(fields[2]), name)


def has_begun(pid: int) -> bool:
    """Whether a child of the supervisor has become the program it is to run.

    Until then it still has the supervisor's signal handlers, and a signal to it is lost.
    """
    process = read(pid)
    if process is None:
        return True
    try:
        return _arguments(pid) != _arguments(process.parent)
    except OSError:
        return True


def _arguments(pid: int) -> bytes:
    return (_PROC / str(pid) / "cmdline").read_bytes()


def everyone() -> dict[int, Process]:
    """All processes that run now, by pid."""
    found = (read(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return {process.pid: process for process in found if process is not None}


def marked(marker: str) -> list[Process]:
    """Every process of the workspace with this marker, oldest first."""
    table = everyone()
    spared = _with_ancestors(os.getpid(), table)
    ours = {pid for pid in table if pid not in spared and _carries(pid, marker)}
    grown = True
    while grown:
        children = {p.pid for p in table.values() if p.parent in ours} - ours - spared
        grown = bool(children)
        ours |= children
    return sorted((table[pid] for pid in ours), key=lambda process: process.started)


def _with_ancestors(pid: int, table: dict[int, Process]) -> set[int]:
    line = set()
    while pid and pid not in line:
        line.add(pid)
        pid = table[pid].parent if pid in table else 0
    return line


def _carries(pid: int, marker: str) -> bool:
    environment = _PROC / str(pid) / "environ"
    try:
        return f"TRIUNE_MARKER={marker}".encode() in environment.read_bytes().split(b"\0")
    except PermissionError:
        return _names(pid, marker)
    except OSError:
        return False


def _names(pid: int, marker: str) -> bool:
    """Processes of another user hide their environment; their data folder has the marker."""
    try:
        return f"/triune/{marker}/".encode() in _arguments(pid)
    except OSError:
        return False


def clear(marker: str, *, patience: float = 5.0) -> int:
    """End every process of the workspace: ask, wait ``patience`` seconds, then kill.

    Returns how many there were. Processes that they start meanwhile are ended too.
    """
    seen: set[Process] = set()
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        found = marked(marker)
        seen.update(found)
        for process in found:
            process.send(number)
        _wait_gone(found, seconds)
    for process in marked(marker):
        seen.add(process)
        process.send(signal.SIGKILL)
    return len(seen)


def kill_group(group: int, marker: str) -> None:
    """End what a process that is gone has left of its process group."""
    for process in marked(marker):
        if process.group == group:
            process.send(signal.SIGKILL)


def _wait_gone(processes: Iterable[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left and time.monotonic() < deadline:
        left = [process for process in left if process.alive()]
        if left:
            time.sleep(_PAUSE)


def memory(pid: int, table: dict[int, Process]) -> int:
    """Resident bytes of a process and all that descend from it."""
    family, frontier = {pid}, {pid}
    while frontier:
        frontier = {p.pid for p in table.values() if p.parent in frontier} - family
        family |= frontier
    return sum(_resident(member) for member in family)


def _resident(pid: int) -> int:
    try:
        pages = (_PROC / str(pid) / "statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def age(process: Process) -> float:
    """Seconds since the process started."""
    uptime = float((_PROC / "uptime").read_text().split()[0])
    return max(0.0, uptime - process.started / os.sysconf("SC_CLK_TCK"))
