"""The use cases of flows: run, history, what is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from triune.core.cron import due, following
from triune.core.errors import NotFound, TriuneError
from triune.core.files import locked
from triune.core.flow_config import FlowTable
from triune.core.ids import new_id
from triune.core.mistakes import closest
from triune.core.workspace import Workspace
from triune.data.features.ports import Log
from triune.data.flows import runner
from triune.data.flows.model import FlowResult, FlowRun, Part
from triune.data.flows.runner import OnPart
from triune.ledger.envelope import event
from triune.ledger.ports import Query

STARTED, FINISHED = "flow.started", "flow.finished"
Parts = Callable[[FlowTable], Sequence[Part]]


def _silent(_: str) -> None:
    """Progress that nobody watches."""


class Flows:
    """The flows of one workspace. ``prefect``: whether a Prefect server is to see them."""

    def __init__(self, workspace: Workspace, log: Log, parts: Parts, *, prefect: bool) -> None:
        self._workspace = workspace
        self._log = log
        self._parts = parts
        self._prefect = prefect

    def table(self, name: str) -> FlowTable:
        """What ``triune.toml`` says of a flow. Raises `NotFound` (``flow-unknown``)."""
        tables = self._workspace.config.flows
        if name not in tables:
            raise NotFound(
                "flow-unknown",
                f"there is no flow {name!r}",
                context=str(self._workspace.root),
                hint=closest(name, tables),
            )
        return tables[name]

    def run(self, name: str, *, actor: str | None = None, on_part: OnPart = _silent) -> FlowResult:
        """Run a flow's parts in order; the first that fails for good ends it.

        Every part is idempotent: a killed flow is simply run again.

        Raises
        ------
        NotFound: ``flow-unknown``.
        Conflict: (``already-running``) another process runs this flow.
        """
        table = self.table(name)
        with locked(self._workspace.state / "flows" / f"{name}.lock", wait=False):
            identifier, begin = new_id(), time.monotonic()
            self._tell(STARTED, name, identifier, {}, actor)
            parts = self._parts(table)
            if self._prefect:
                results = runner.under_prefect(name, parts, table, on_part)
            else:
                results = runner.alone(parts, table, on_part)
            ok = len(results) == len(parts) and all(one.ok for one in results)
            seconds = time.monotonic() - begin
            told = {
                "verdict": "pass" if ok else "fail",
                "seconds": round(seconds, 3),
                "by": "prefect" if self._prefect else "triune",
                "parts": [
                    {"name": p.name, "ok": p.ok, "attempts": p.attempts,
                     "seconds": round(p.seconds, 3), "words": p.words}
                    for p in results
                ],
            }  # fmt: skip
            self._tell(FINISHED, name, identifier, told, actor)
        return FlowResult(name, identifier, ok, seconds, tuple(results), str(told["by"]))

    def history(self, name: str) -> list[FlowRun]:
        """Runs of a flow, the newest first."""
        self.table(name)
        ended = {
            s.event.payload["id"]: s.event.payload
            for s in self._log.select(Query(kind=FINISHED))
            if s.event.payload["flow"] == name
        }
        runs = []
        for stored in self._log.select(Query(kind=STARTED, newest_first=True)):
            payload = stored.event.payload
            if payload["flow"] != name:
                continue
            end = ended.get(payload["id"])
            failed = [p for p in end["parts"] if not p["ok"]] if end else []
            words = failed[0]["words"] if failed else ("" if end else "it never ended")
            ok = None if end is None else end["verdict"] == "pass"
            seconds = end["seconds"] if end else 0.0
            runs.append(FlowRun(name, payload["id"], stored.event.at, ok, seconds, words))
        return runs

    def next_time(self, name: str, now: datetime | None = None) -> datetime | None:
        """When the schedule runs it next; None without one."""
        schedule = self.table(name).schedule
        return following(schedule, now or datetime.now(UTC)) if schedule else None

    def due(self, since: datetime, now: datetime) -> list[str]:
        """Flows whose schedule has named a time since they last began, or since ``since`` where
        they never did."""
        found = []
        for name, table in self._workspace.config.flows.items():
            if table.schedule is None:
                continue
            last = next((run.started for run in self.history(name)), since)
            if due(table.schedule, last, now):
                found.append(name)
        return found

    def _tell(
        self, kind: str, name: str, identifier: str, payload: Mapping[str, Any], actor: str | None
    ) -> None:
        told = event(
            kind,
            f"service:flow-{name}",
            workspace=self._workspace.name,
            actor=actor,
            payload={"flow": name, "id": identifier, **payload},
        )
        self._log.record([told])


def failed(result: FlowResult) -> TriuneError | None:
    """The error for a flow that failed; None for one that did not."""
    if result.ok:
        return None
    part = result.parts[-1]
    return TriuneError(
        "flow-failed",
        f"flow {result.name!r} failed at {part.name} after {part.attempts} attempts: {part.words}",
        context=result.id,
        hint="Mend it and run the flow again: what is done is not done again.",
    )
