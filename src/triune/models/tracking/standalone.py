"""`triune.run`: a tracked run from any Python code inside a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import Refused
from triune.core.workspace import Workspace, find
from triune.ledger.envelope import Event
from triune.ledger.journal import Journal
from triune.models import environment, provenance
from triune.models.ports import EventSink
from triune.models.tracking.model import Value
from triune.models.tracking.session import Run, start


@dataclass(frozen=True, slots=True)
class LedgerJournal:
    """Hands events over to the ledger's journal alone: no database, no thread.

    The next process that opens the ledger stores them.
    """

    folder: Path

    def append(self, event: Event) -> None:
        journal = Journal(self.folder)
        try:
            journal.append(event)
        finally:
            journal.close()


def run(
    name: str,
    *,
    params: Mapping[str, Value] | None = None,
    tags: Mapping[str, object] | None = None,
    inputs: Mapping[str, str] | None = None,
    workspace: Path | str | None = None,
) -> Run:
    """Begin a tracked run; use it with ``with``.

    ::

        with triune.run("sweep", params={"depth": 3}) as run:
            for step in range(100):
                run.log(step=step, loss=loss)

    The commit and the environment are recorded with it. ``inputs`` are further lineage
    parents, role to reference, e.g. ``{"dataset": "dataset:flights@3f2a..."}``.

    Raises
    ------
    NotFound: (``workspace-not-found``) neither ``workspace`` nor the current folder is in one.
    """
    space = find(Path(workspace) if workspace is not None else None)
    sink = LedgerJournal(space.journal)
    parents = [(ref, role) for role, ref in (inputs or {}).items()]
    parents += _code_and_software(space, sink)
    return start(name, workspace=space, sink=sink, params=params, tags=tags, inputs=tuple(parents))


def _code_and_software(space: Workspace, sink: EventSink) -> list[tuple[str, str]]:
    """The commit, where there is one, and the environment; their events handed over."""
    found = []
    try:
        commit = provenance.current(space.root)
    except Refused:
        commit = None  # the run's lineage then lacks its commit, and coverage says so
    if commit is not None:
        sink.append(provenance.store(commit, space.state / "commits", workspace=space.name))
        found.append((commit.ref, "commit"))
    software = environment.remembered(space.state / "environment.json")
    lock = environment.lock_digest(space.root)
    folder = space.state / "environments"
    sink.append(environment.recorded(software, folder, workspace=space.name, lock=lock))
    found.append((software.ref, "environment"))
    return found
