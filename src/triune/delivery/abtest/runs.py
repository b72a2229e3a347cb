"""The life of tests as events of the ledger tell it: started, stopped, decided. Pure.

Every event of a test's life has the next number of the workspace's tests, and its id is made of
that number. Of two that are told at the same moment the ledger keeps one: nobody starts a test in
ignorance of another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import msgspec

from triune.core.abtest_config import Promotion
from triune.core.errors import Conflict, NotFound
from triune.core.mistakes import closest
from triune.delivery.abtest.model import Declaration
from triune.ledger.envelope import Event, event
from triune.ledger.ports import Stored

STARTED = "test.started"
STOPPED = "test.stopped"
DECIDED = "test.decided"
KIND = "test.*"


class Stage(StrEnum):
    """Where a test stands; `STAGES` says it in words."""

    RUNNING = "running"
    STOPPED = "stopped"
    DECIDED = "decided"


STAGES: Mapping[Stage, str] = {
    Stage.RUNNING: "Units are exposed to its variants.",
    Stage.STOPPED: "No unit is exposed any more; outcomes still arrive.",
    Stage.DECIDED: "It is over, with a verdict.",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A test from its start on.

    Attributes
    ----------
    id: that of the event that started it
    number: of that event
    arms: at an endpoint the variant of each release
    rollout: at an endpoint the rollout that brings the candidate to its units
    ended: when it took no more exposures
    verdict, winner: of its decision; no winner: everything stays as it was before
    found: what the decision was made from
    """

    id: str
    number: int
    declaration: Declaration
    actor: str
    reason: str
    started: datetime
    arms: Mapping[str, str] = field(default_factory=dict)
    rollout: str | None = None
    promotion: Promotion = Promotion.ASK
    stage: Stage = Stage.RUNNING
    ended: datetime | None = None
    ended_by: str = ""
    why: str = ""
    verdict: str = ""
    winner: str | None = None
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.declaration.name

    @property
    def running(self) -> bool:
        return self.stage is Stage.RUNNING

    @property
    def candidate(self) -> str:
        """At an endpoint, the candidate's release."""
        return next(ref for ref, name in self.arms.items() if name != self.declaration.control)

    @property
    def since(self) -> int:
        """Its start in microseconds since 1970."""
        return round(self.started.timestamp() * 1e6)

    @property
    def until(self) -> int | None:
        """Its end, while it runs None."""
        return None if self.ended is None else round(self.ended.timestamp() * 1e6)


@dataclass(frozen=True, slots=True)
class Runs:
    """All tests that ever ran, the oldest first; ``number`` is that of the last event."""

    all: tuple[Run, ...] = ()
    number: int = 0

    @property
    def running(self) -> tuple[Run, ...]:
        """Those that run."""
        return tuple(run for run in self.all if run.running)

    def find(self, name: str) -> Run:
        """The latest run of a test. Raises `NotFound` (``test-unknown``)."""
        found = [run for run in self.all if run.name == name]
        if not found:
            known = {run.name for run in self.all}
            raise NotFound(
                "test-unknown",
                f"no test {name!r} was ever started",
                hint=closest(name, known) if known else "`triune ab start` starts one.",
            )
        return found[-1]


def subject(name: str) -> str:
    """``test:<name>``."""
    return f"test:{name}"


def fold(events: Iterable[Stored]) -> Runs:
    """The tests after these events, in the log's order."""
    runs: dict[str, Run] = {}
    number = 0
    for stored in events:
        told = stored.event
        number = max(number, int(told.payload["number"]))
        if told.kind == STARTED:
            runs[told.id] = _started(told)
        elif told.payload["run"] in runs:
            before = runs[str(told.payload["run"])]
            runs[before.id] = _ended(before, told)
    return Runs(tuple(runs.values()), number)


def _started(told: Event) -> Run:
    payload = told.payload
    return Run(
        id=told.id,
        number=int(payload["number"]),
        declaration=msgspec.convert(payload["declaration"], Declaration),
        actor=told.actor,
        reason=str(payload["reason"]),
        started=told.at,
        arms=dict(payload["arms"]),
        rollout=payload["rollout"],
        promotion=Promotion(payload["promote"]),
    )


def _ended(run: Run, told: Event) -> Run:
    payload = told.payload
    ended = run.ended or told.at
    changed = replace(
        run, ended=ended, ended_by=told.actor, why=str(payload["reason"]), stage=Stage.STOPPED
    )
    if told.kind == STOPPED:
        return changed if run.stage is Stage.RUNNING else run
    return replace(
        changed,
        stage=Stage.DECIDED,
        verdict=str(payload["verdict"]),
        winner=payload["winner"],
        found=dict(payload["found"]),
    )


def told(
    kind: str,
    name: str,
    number: int,
    payload: Mapping[str, Any],
    *,
    workspace: str,
    actor: str | None = None,
    cause: str = "",
) -> Event:
    """An event of a test's life, with the workspace's next number."""
    return event(
        kind,
        subject(name),
        workspace=workspace,
        actor=actor,
        identifier=str(uuid5(NAMESPACE_OID, f"{workspace}/tests/{number}")),
        payload={"number": number, **payload},
        causes=(cause,) if cause else (),
    )


def as_started(
    declaration: Declaration,
    *,
    reason: str,
    arms: Mapping[str, str],
    rollout: str | None,
    promotion: Promotion,
) -> dict[str, Any]:
    """What the event of a start says."""
    return {
        "declaration": msgspec.to_builtins(declaration),
        "reason": reason,
        "arms": dict(arms),
        "rollout": rollout,
        "promote": promotion.value,
    }


def check_free(declaration: Declaration, runs: Runs) -> None:
    """Whether a test may start beside those that run.

    Raises
    ------
    Conflict: ``test-running``, ``test-flag-taken``, ``test-endpoint-taken``,
        ``test-layer-overlaps``.
    """
    for other in runs.running:
        theirs = other.declaration
        if theirs.name == declaration.name:
            raise Conflict(
                "test-running",
                f"the test {theirs.name!r} runs already",
                context=f"started by {other.actor}: {other.reason}",
                hint=f"Stop it first: `triune ab stop {theirs.name}`.",
            )
        if declaration.flag is not None and theirs.flag == declaration.flag:
            raise _taken("test-flag-taken", f"the flag {declaration.flag!r}", other)
        if declaration.endpoint is not None and theirs.endpoint == declaration.endpoint:
            raise _taken("test-endpoint-taken", f"the endpoint {declaration.endpoint!r}", other)
        mine, layer = declaration.layer, theirs.layer
        if mine is not None and layer is not None and mine.overlaps(layer):
            end, last = layer.first + layer.size, mine.first + mine.size
            raise Conflict(
                "test-layer-overlaps",
                f"buckets {mine.first} to {last - 1} of layer {mine.name!r} overlap those of "
                f"the test {theirs.name!r}, {layer.first} to {end - 1}",
                context=f"started by {other.actor}: {other.reason}",
                hint="Take other buckets, or wait until it is over.",
            )


def _taken(reference: str, what: str, other: Run) -> Conflict:
    return Conflict(
        reference,
        f"{what} is in the test {other.name!r}",
        context=f"started by {other.actor}: {other.reason}",
        hint=f"Wait until it is over, or stop it: `triune ab stop {other.name}`.",
    )
