"""Single processes under a running supervisor: launch, await, stop, forget."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from triune.core.errors import Conflict, Unavailable
from triune.core.files import OWNER_ONLY, locked, read_json, write_atomic, write_json
from triune.core.process import FileReady, HttpReady, ProcessSpec, Ready, TcpReady
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.operations.services import logs, ports, processes, readiness
from triune.operations.services.backends import supervisord
from triune.operations.services.backends.control import Control, Info
from triune.operations.services.model import ProcessState

_DEATHS_BEFORE_GIVING_UP = 3
_TAIL_LINES = 15
_STOP_SLACK = 10.0
_BEGIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a description for `status` and `down`."""

    ready: Ready
    order: int
    stop_seconds: float


class Programs:
    """The processes of one supervisor; each has a file for it and a record for us."""

    def __init__(self, workspace: Workspace, control: Control, folder: Path) -> None:
        self._workspace, self._control, self._folder = workspace, control, folder

    def record(self, name: str) -> Record | None:
        """What is kept of this process's description."""
        value = read_json(self._folder / f"{name}.json")
        if value is None:
            return None
        ready = readiness.from_dict(value["ready"])
        return Record(ready, value["order"], value["stop_seconds"])

    def current(self, spec: ProcessSpec) -> bool:
        """Whether it runs, exactly as described."""
        info = self._control.info(spec.name)
        return info is not None and info.state.alive and self._written(spec) == self._text(spec)

    def launch(self, spec: ProcessSpec) -> int | None:
        """Start or replace the process without waiting for it.

        Returns where its log will begin, or None when it runs already as described.
        """
        text = self._text(spec)
        with self._lock(spec.name):
            if self.current(spec):
                self._keep(spec)
                return None
            self._stop_and_forget(spec.name)
            _require_free(spec)
            if isinstance(spec.ready, FileReady):
                spec.ready.path.unlink(missing_ok=True)
            begin = logs.size(self._log(spec.name))
            self._keep(spec)
            write_atomic(self._folder / f"{spec.name}.conf", text, mode=OWNER_ONLY)
            self._control.add(spec.name)
            self._control.start(spec.name)
        return begin

    def await_ready(
        self, spec: ProcessSpec, *, since: int | None, abandoned: threading.Event
    ) -> None:
        """Wait until it is ready; give up early when it keeps dying or the event is set.

        Raises
        ------
        Unavailable: (``service-not-ready``) with what it logged after ``since``.
        """
        endings: set[int] = set()

        def ready() -> bool:
            if abandoned.is_set():
                raise self._not_ready(spec, "the start was interrupted", since)
            info = self._control.info(spec.name)
            if info is None or _over(info, spec):
                raise self._not_ready(spec, "it ended", since)
            if info.stopped:
                endings.add(info.stopped)
            if len(endings) >= _DEATHS_BEFORE_GIVING_UP:
                raise self._not_ready(spec, f"it died {len(endings)} times", since)
            return _has_process(info) and readiness.probe(spec.ready, pid=info.pid)

        try:
            wait_until(ready, timeout=spec.ready_seconds, what=spec.name)
        except Unavailable as error:
            if error.reference != "wait-timed-out":
                raise
            why = f"no sign of readiness within {spec.ready_seconds:g} seconds"
            raise self._not_ready(spec, why, since) from error

    def remove(self, name: str) -> None:
        """Stop and forget; fine when it is not known."""
        with self._lock(name):
            self._stop_and_forget(name)

    def ask_to_stop(self, name: str) -> None:
        """Send the stop signal, once the process is far enough to receive it."""
        info = self._control.info(name)
        if info is None:
            return
        pid = info.pid
        if pid:
            with suppress(Unavailable):  # one that hangs before it begins is killed when late
                wait_until(lambda: processes.has_begun(pid), timeout=_BEGIN_SECONDS, what=name)
        self._control.stop(name)

    def await_stopped(self, name: str) -> None:
        """Wait until a process that was told to stop has stopped; it is killed when late."""
        record = self.record(name)
        limit = record.stop_seconds if record else _STOP_SLACK

        def stopped() -> bool:
            info = self._control.info(name)
            return info is None or not (info.state.alive or info.state is ProcessState.STOPPING)

        wait_until(stopped, timeout=limit + _STOP_SLACK, what=f"{name} stops")

    def _stop_and_forget(self, name: str) -> None:
        info = self._control.info(name)
        if info is not None:
            self.ask_to_stop(name)
            self.await_stopped(name)
            self._control.forget(name)
            if info.pid:
                processes.kill_group(info.pid, self._workspace.marker)
        for suffix in (".conf", ".json"):
            (self._folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _lock(self, name: str) -> AbstractContextManager[None]:
        return locked(self._workspace.run_folder / "locks" / name)

    def _log(self, name: str) -> Path:
        return self._workspace.logs / f"{name}.log"

    def _text(self, spec: ProcessSpec) -> str:
        return supervisord.program(spec, self._workspace.marker, root=os.geteuid() == 0)

    def _written(self, spec: ProcessSpec) -> str | None:
        try:
            return (self._folder / f"{spec.name}.conf").read_text()
        except FileNotFoundError:
            return None

    def _keep(self, spec: ProcessSpec) -> None:
        record = {
            "ready": readiness.as_dict(spec.ready),
            "order": spec.order,
            "stop_seconds": spec.stop_seconds,
        }
        write_json(self._folder / f"{spec.name}.json", record, mode=OWNER_ONLY)

    def _not_ready(self, spec: ProcessSpec, why: str, since: int | None) -> Unavailable:
        log = self._log(spec.name)
        end = "\n".join(f"    {line}" for line in logs.tail(log, _TAIL_LINES, since=since or 0))
        return Unavailable(
            "service-not-ready",
            f"{spec.name} did not become ready: {why}" + (f"\n{end}" if end else ""),
            context=str(log),
            hint=f"`triune logs {spec.name}` shows more.",
        )


def _over(info: Info, spec: ProcessSpec) -> bool:
    """Whether it will not be started again; one that exited is, a moment later."""
    if info.state is ProcessState.EXITED:
        return not spec.restart
    return not info.state.alive


def _has_process(info: Info) -> bool:
    return info.pid is not None and info.state in {ProcessState.STARTING, ProcessState.RUNNING}


def _require_free(spec: ProcessSpec) -> None:
    """Else a stranger's answer on that port would pass for our readiness."""
    port = None
    if isinstance(spec.ready, HttpReady):
        port = urlsplit(spec.ready.url).port
    elif isinstance(spec.ready, TcpReady):
        port = spec.ready.port
    if port is not None and not ports.is_free(port):
        raise Conflict(
            "port-taken",
            f"port {port} of {spec.name!r} is taken by {ports.holder(port)}",
            hint="Stop that process, or choose another port.",
        )
