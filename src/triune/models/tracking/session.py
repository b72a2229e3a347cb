"""A run as user code holds it: start, log, finish.

Every call writes one frame to the run's journal and returns; nothing waits for a network or
a database. Several threads may log at once. A forked child may log too, and leaves the end of
the run to the process that began it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from triune.core.errors import Refused
from triune.core.files import inside
from triune.core.ids import new_id
from triune.core.workspace import Workspace
from triune.ledger.envelope import person
from triune.models.ports import EventSink
from triune.models.tracking import events
from triune.models.tracking.folders import RunFolders
from triune.models.tracking.frames import (
    Artifact,
    Begin,
    Finish,
    Frame,
    Metrics,
    Params,
    Reads,
    Tags,
)
from triune.models.tracking.journal import JournalWriter, read
from triune.models.tracking.keeping import keep, measure
from triune.models.tracking.model import RunStatus, Value, fold
from triune.models.tracking.values import number, setting, usable


class Run:
    """One execution being recorded; made by `start`, ended by ``with`` or `finish`."""

    def __init__(
        self, folders: RunFolders, journal: JournalWriter, begin: Begin, sink: EventSink | None
    ) -> None:
        self.id = begin.id
        self.name = begin.name
        self.folder = folders.folder(begin.id)
        self._folders = folders
        self._journal = journal
        self._sink = sink
        self._owner = os.getpid()
        self._names: set[str] = set()
        self._params: dict[str, Value] = {}
        self._next_step = 0
        self._lock = threading.RLock()
        self._status = RunStatus.RUNNING
        _open_runs.add(self)

    @property
    def ref(self) -> str:
        """The run's lineage reference."""
        return f"run:{self.id}"

    @property
    def status(self) -> RunStatus:
        """How far the run has come."""
        return self._status

    def log(self, step: int | None = None, **metrics: float) -> None:
        """Record values measured together: ``run.log(step=3, auc=0.71, loss=0.4)``.

        Without a step, the step after the last one is taken, beginning with 0.
        """
        self.log_metrics(metrics, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record values whose names need not be Python identifiers.

        Raises
        ------
        Refused: (``metric-invalid``) a value is no number, or a name is not usable.
        Unavailable: (``run-journal-full``) the disk is full.
        """
        values = {k: v if type(v) is float else number(k, v) for k, v in metrics.items()}
        if not self._names.issuperset(values):
            self._names.update(usable(name) for name in values)
        with self._lock:
            if step is None:
                step = self._next_step
            self._next_step = step + 1
            self._write(Metrics(time.time_ns() // 1000, step, values))

    def param(self, name: str, value: Value) -> None:
        """Record one setting; its value cannot change afterwards."""
        self.params({name: value})

    def params(self, values: Mapping[str, Value]) -> None:
        """Record settings.

        Raises
        ------
        Refused: (``param-changed``) one was recorded before with another value.
        """
        plain = {usable(name): setting(value) for name, value in values.items()}
        for name, value in plain.items():
            if self._params.setdefault(name, value) != value:
                raise Refused(
                    "param-changed",
                    f"parameter {name!r} is {self._params[name]!r} already, not {value!r}",
                    context=self.ref,
                    hint="Log what changes during a run as a metric, or start another run.",
                )
        self._write(Params(plain))

    def tag(self, name: str, value: object) -> None:
        """Label the run; a later value replaces an earlier one."""
        self._write(Tags({usable(name): str(value)}))

    def figure(self, name: str, figure: Any, *, dpi: int = 120) -> Path:
        """Keep a matplotlib figure as ``<name>.png`` (or with the suffix the name has)."""
        import io

        file_name = name if Path(name).suffix else f"{name}.png"
        image = io.BytesIO()
        metadata = {"Software": None} if file_name.endswith(".png") else None
        figure.savefig(image, format=Path(file_name).suffix[1:], dpi=dpi, metadata=metadata)
        return self.artifact(image.getvalue(), file_name)

    def artifact(self, source: Path | str | bytes, name: str | None = None) -> Path:
        """Keep a copy of a file, a folder or bytes under ``name``; returns where it lies.

        Raises
        ------
        Refused: (``artifact-unnamed``) bytes without a name; (``path-leaves-folder``).
        """
        if name is None and isinstance(source, bytes):
            raise Refused(
                "artifact-unnamed", "bytes need a name", hint="run.artifact(data, 'notes.txt')"
            )
        file_name = name or Path(source).name  # type: ignore[arg-type]  # bytes have a name here
        target = inside(self.folder / "artifacts", file_name)
        keep(source, target)
        size, digest = measure(target)
        self._write(Artifact(time.time_ns() // 1000, file_name, digest, size))
        return target

    def reads(self, seen: Reads) -> None:
        """Record what the run was seen to read; whoever watches it tells it."""
        self._write(seen)

    def finish(self, status: RunStatus = RunStatus.FINISHED, error: str = "") -> None:
        """End the run; only the first call, in the process that began it, does anything."""
        if self._status is not RunStatus.RUNNING or os.getpid() != self._owner:
            return
        with self._lock:
            self._write(Finish(time.time_ns() // 1000, status.value, error))
            self._status = status
            self._journal.sync()
            self._journal.close()
        self._tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        elif isinstance(error, Exception):
            self.finish(RunStatus.FAILED, f"{type(error).__name__}: {error}")
        else:
            self.finish(RunStatus.KILLED, type(error).__name__)

    def _write(self, frame: Frame) -> None:
        with self._lock:
            if self._status is not RunStatus.RUNNING:
                raise Refused(
                    "run-ended",
                    f"the run {self.name!r} has ended",
                    context=self.ref,
                    hint="Log inside its `with` block.",
                )
            self._journal.append(frame)

    def _tell(self) -> None:
        """Tell the ledger; without one, whoever next looks at the runs does it."""
        if self._sink is None:
            return
        record = fold(frame for frame, _ in read(self._journal.path))
        if record is None:
            return
        make = events.started if record.ended is None else events.finished
        self._sink.append(make(record, self._folders.workspace.name))


def start(
    name: str,
    *,
    workspace: Workspace,
    sink: EventSink | None = None,
    params: Mapping[str, Value] | None = None,
    tags: Mapping[str, object] | None = None,
    inputs: tuple[tuple[str, str], ...] = (),
    details: Mapping[str, str] | None = None,
    identifier: str | None = None,
) -> Run:
    """Begin a run: it is on disk, and the ledger is told, when this returns.

    ``inputs`` are lineage parents as (reference, role); ``details`` are facts about the
    execution. Without a ``sink`` the ledger is told by whoever next looks at the runs.
    """
    begin = Begin(
        id=identifier or new_id(),
        time=time.time_ns() // 1000,
        name=name,
        actor=person(),
        host=socket.gethostname(),
        pid=os.getpid(),
        started_event=new_id(),
        finished_event=new_id(),
        inputs=list(inputs),
        details=dict(details or {}),
    )
    folders = RunFolders(workspace)
    journal = JournalWriter.create(folders.folder(begin.id), begin)
    folders.mark(begin.id)
    run = Run(folders, journal, begin, sink)
    run._tell()
    if params:
        run.params(params)
    for label, value in (tags or {}).items():
        run.tag(label, value)
    return run


_open_runs: weakref.WeakSet[Run] = weakref.WeakSet()


def _renew_locks() -> None:
    """After a fork, a lock that another thread of the parent held would never be released."""
    for run in _open_runs:
        run._lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)
