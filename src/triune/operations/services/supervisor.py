"""The supervisor of a workspace's processes: start, watch, replace, stop, clear.

One supervising process per workspace does the watching; it runs detached from the terminal,
restarts what dies, and is reached over a Unix socket only its owner can open. Nobody needs
to know more about it than `daemon` and ``backends/`` do.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path

from triune.core.errors import TriuneError, Unavailable
from triune.core.files import locked
from triune.core.process import ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services import logs, processes, readiness
from triune.operations.services.backends.control import Info, NotListening
from triune.operations.services.daemon import Daemon
from triune.operations.services.model import (
    OnProgress,
    Phase,
    ProcessState,
    ProcessStatus,
    Progress,
    Service,
    silent,
)
from triune.operations.services.programs import Programs

Plan = Callable[[frozenset[str]], Sequence[Service | ProcessSpec]]
_PROBE_SECONDS = 0.4


class Supervisor:
    """Runs the processes of one workspace.

    Every method may be called from any process or thread: changes to one process exclude
    each other, `up` and `down` exclude each other, by file locks that die with their holder.

    Parameters
    ----------
    workspace: whose processes
    environment: where the variables that services may see come from (default: ours)
    patience: seconds the supervising process has for an answer
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        environment: Mapping[str, str] | None = None,
        patience: float = 10.0,
    ) -> None:
        self.workspace = workspace
        given = os.environ if environment is None else environment
        self._daemon = Daemon(workspace, given, patience)
        self._programs = Programs(workspace, self._daemon.control, self._daemon.programs)

    def running(self) -> bool:
        """Whether the supervisor itself runs."""
        return self._daemon.running()

    def up(
        self,
        services: Sequence[Service | ProcessSpec] | Plan,
        on_progress: OnProgress = silent,
    ) -> tuple[ProcessStatus, ...]:
        """Start what does not run yet, in order, each waited for until it is ready.

        Leftovers of a crash are cleared first. ``services`` may be a function that is called
        after that, with the names of those that run, to say what is to run.

        Raises
        ------
        Unavailable: (``service-not-ready``) with the end of its log; those before it run on.
        """
        with self._lock():
            cleared = self._daemon.clear_leftovers()
            if cleared:
                note = f"cleared {cleared} left from before"
                on_progress(Progress("", Phase.CLEARED, note=note))
            wanted = services(self._alive()) if callable(services) else services
            self._daemon.start()
            for together in _by_order(wanted):
                self._start_together(together, on_progress)
        return self.status()

    def down(self, on_progress: OnProgress = silent) -> tuple[str, ...]:
        """Stop everything in reverse order; returns the names of what ran.

        Nothing with this workspace's marker is left when it returns, whatever state it was
        found in. Raises `Unavailable` (``processes-left``) if something would not die.
        """
        with self._lock():
            stopped: list[str] = []
            try:
                if self._daemon.running():
                    stopped = self._stop_all(on_progress)
            except Unavailable as error:
                if error.reference != "supervisor-silent":
                    raise
            self._daemon.end()
        return tuple(stopped)

    def ensure(self, spec: ProcessSpec) -> None:
        """Make this process run exactly as described, and wait until it is ready.

        A process of that name that runs already is kept when its description is the same,
        and replaced otherwise. Raises `Unavailable` (``services-not-running``;
        ``service-not-ready`` with the end of its log: a new process is removed again) and
        `Conflict` (``port-taken``).
        """
        self._ensure(spec, threading.Event())

    def _ensure(self, spec: ProcessSpec, abandoned: threading.Event) -> None:
        started = self._programs.launch(spec)
        try:
            self._programs.await_ready(spec, since=started, abandoned=abandoned)
        except Unavailable:
            if started is not None:
                self._programs.remove(spec.name)
            raise

    def remove(self, name: str) -> None:
        """Stop a process gracefully and forget it; fine when there is none."""
        if self.running():
            self._programs.remove(name)

    def signal(self, name: str, signal: str) -> bool:
        """Send a signal (``"HUP"``, ``"KILL"``); False when no such process runs."""
        try:
            return self._daemon.control.signal(name, signal)
        except NotListening:
            return False

    def status(self) -> tuple[ProcessStatus, ...]:
        """Every process that should run, in starting order; empty when nothing is up.

        Asks each whether it is ready, all at once, for at most 0.4 seconds.
        """
        try:
            infos = self._daemon.control.infos()
        except NotListening:
            return ()
        deaths = logs.deaths(self._daemon.log)
        table = processes.everyone()

        def describe(info: Info) -> ProcessStatus:
            record = self._programs.record(info.name)
            process = table.get(info.pid) if info.pid and info.state.alive else None
            ready = process is not None and (
                record is None
                or readiness.probe(record.ready, pid=info.pid, timeout=_PROBE_SECONDS)
            )
            return ProcessStatus(
                name=info.name,
                state=ProcessState.RUNNING if ready else info.state,
                ready=ready,
                pid=info.pid,
                uptime=processes.age(process) if process else None,
                restarts=deaths.get(info.name, 0),
                rss=processes.memory(process.pid, table) if process else None,
                order=record.order if record else 100,
            )

        with ThreadPoolExecutor(max_workers=max(1, len(infos))) as pool:
            found = list(pool.map(describe, infos.values()))
        return tuple(sorted(found, key=lambda status: (status.order, status.name)))

    def log(self, name: str) -> Path:
        """The file a process writes to."""
        return self.workspace.logs / f"{name}.log"

    def _lock(self) -> AbstractContextManager[None]:
        self.workspace.run_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return locked(self.workspace.run_folder / "up.lock")

    def _alive(self) -> frozenset[str]:
        try:
            infos = self._daemon.control.infos().values()
        except NotListening:
            return frozenset()
        return frozenset(info.name for info in infos if info.state.alive)

    def _start_together(self, services: Sequence[Service], on_progress: OnProgress) -> None:
        abandoned = threading.Event()
        with ThreadPoolExecutor(max_workers=len(services)) as pool:
            try:
                runs = [pool.submit(self._start, s, on_progress, abandoned) for s in services]
                wait(runs)
            except BaseException:  # Ctrl-C: the threads would else be waited for to their end
                abandoned.set()
                raise
        for run in runs:
            run.result()

    def _start(self, service: Service, on_progress: OnProgress, abandoned: threading.Event) -> None:
        begin = time.monotonic()
        name, fresh = service.name, not self._programs.current(service.spec)

        def tell(phase: Phase, note: str = "") -> None:
            on_progress(Progress(name, phase, time.monotonic() - begin, fresh, note))

        try:
            if fresh:
                tell(Phase.PREPARING)
                service.prepare()
                tell(Phase.STARTING)
            self._ensure(service.spec, abandoned)
            service.settle()
        except TriuneError as error:
            tell(Phase.FAILED, error.message)
            raise
        tell(Phase.READY)

    def _stop_all(self, on_progress: OnProgress) -> list[str]:
        names = list(self._daemon.control.infos())
        records = {name: self._programs.record(name) for name in names}

        def order(name: str) -> int:
            record = records[name]
            return record.order if record else 100

        for _, group in groupby(sorted(names, key=order, reverse=True), key=order):
            together = list(group)
            for name in together:
                on_progress(Progress(name, Phase.STOPPING))
                self._programs.ask_to_stop(name)
            for name in together:
                self._programs.await_stopped(name)
                on_progress(Progress(name, Phase.STOPPED))
        return sorted(names, key=order, reverse=True)


def _by_order(wanted: Iterable[Service | ProcessSpec]) -> Iterator[list[Service]]:
    services = [item if isinstance(item, Service) else Service(item) for item in wanted]

    def order(service: Service) -> int:
        return service.spec.order

    for _, group in groupby(sorted(services, key=order), key=order):
        yield list(group)
