"""The catalogue of runs: finds, filters and compares them, and tells the ledger of their ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triune.core.errors import NotFound
from triune.core.files import read_json
from triune.core.workspace import Workspace
from triune.ledger.runs import Condition, IndexedRun, Order
from triune.ledger.service import Ledger
from triune.models.tracking import events, journal
from triune.models.tracking.folders import Mark, RunFolders
from triune.models.tracking.frames import Finish, Frame
from triune.models.tracking.model import History, RunRecord, RunStatus, fold, histories


@dataclass(frozen=True)
class RunCatalog:
    """The runs of one workspace."""

    workspace: Workspace
    ledger: Ledger

    @property
    def folders(self) -> RunFolders:
        return RunFolders(self.workspace)

    def search(
        self,
        conditions: Sequence[Condition] = (),
        *,
        order: Order | None = None,
        limit: int | None = 100,
    ) -> list[IndexedRun]:
        """Runs that meet every condition, sorted; those of the last moment included."""
        self.catch_up()
        return self.ledger.runs.search(conditions, order=order, limit=limit)

    def get(self, name: str) -> RunRecord:
        """The run meant by an id, a part of one that fits no other, or a reference.

        Raises
        ------
        NotFound: ``run-not-found``.
        """
        identifier = self.folders.resolve(name)
        if identifier in self.folders.marked(Mark.UNTOLD):
            self.tell(identifier)
        return _known(fold(self.frames(identifier)), identifier)

    def frames(self, identifier: str) -> Iterator[Frame]:
        """Everything the run's journal holds, in order."""
        return (frame for frame, _ in journal.read(self.folders.journal(identifier)))

    def history(self, identifier: str) -> History:
        """Every metric's values over time."""
        return histories(self.frames(identifier))

    def catch_up(self) -> None:
        """Tell ledger and index the news of every run that is not told to its end."""
        for identifier in self.folders.marked(Mark.UNTOLD):
            if self.folders.journal(identifier).is_file():
                self.tell(identifier)
            else:
                self.folders.unmark(identifier, Mark.UNTOLD)

    def has_dead(self) -> bool:
        """Whether the process of a run that never ended is gone; opens no journal to read."""
        for identifier in self.folders.marked(Mark.UNTOLD):
            path = self.folders.journal(identifier)
            if path.is_file() and not journal.is_alive(path):
                return True
        return False

    def tell(self, identifier: str) -> RunRecord:
        """Tell ledger and index how one run stands; one whose process died becomes killed.

        May be repeated and interrupted anywhere: the ledger keeps each event once.
        """
        record = _known(fold(self.frames(identifier)), identifier)
        if record.status is RunStatus.RUNNING:
            record = self._bury_if_dead(record)
        told = [events.started(record, self.workspace.name)]
        if record.ended is not None:
            told.append(events.finished(record, self.workspace.name))
        self.ledger.record([event for event in told if self.ledger.get(event.id) is None])
        self.ledger.runs.put(self._row(record))
        if record.ended is not None:
            self.folders.unmark(identifier, Mark.UNTOLD)
        return record

    def index(self, record: RunRecord) -> None:
        """Write the run's row in the index again, e.g. when MLflow has given it an id."""
        self.ledger.runs.put(self._row(record))

    def _bury_if_dead(self, record: RunRecord) -> RunRecord:
        with journal.taken_over(self.folders.journal(record.id)) as writer:
            if writer is None:
                return record
            again = _known(fold(self.frames(record.id)), record.id)
            if again.status is not RunStatus.RUNNING:
                return again
            error = f"process {record.pid} on {record.host} died"
            writer.append(Finish(time.time_ns() // 1000, RunStatus.KILLED.value, error))
            writer.sync()
        return _known(fold(self.frames(record.id)), record.id)

    def _row(self, record: RunRecord) -> IndexedRun:
        shipped = read_json(self.folders.shipped(record.id)) or {}
        return IndexedRun(
            id=record.id,
            name=record.name,
            status=record.status.value,
            started=record.started,
            finished=record.ended,
            model=record.details.get("model"),
            mlflow_id=shipped.get("mlflow_id"),
            payload={
                "inputs": dict(_by_role(record)),
                "details": dict(record.details),
                "tags": dict(record.tags),
                "error": record.error,
            },
            metrics=record.metrics,
            params={name: str(value) for name, value in record.params.items()},
        )


def _by_role(record: RunRecord) -> Iterator[tuple[str, list[str]]]:
    roles = dict.fromkeys(role for _, role in record.inputs)
    for role in roles:
        yield role, [ref for ref, its_role in record.inputs if its_role == role]


def _known(record: RunRecord | None, identifier: str) -> RunRecord:
    if record is None:
        raise NotFound(
            "run-not-found",
            f"the journal of run {identifier!r} does not begin",
            hint="It was damaged from outside; restore it from a backup.",
        )
    return record
