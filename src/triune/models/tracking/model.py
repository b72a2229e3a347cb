"""What a run is, folded from the frames of its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from triune.core.ids import reference
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

Value = str | int | float | bool


class RunStatus(StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    """Its process lives and has not finished."""
    FINISHED = "finished"
    """It ended as its author meant it to."""
    FAILED = "failed"
    """It ended with an error, which is recorded."""
    KILLED = "killed"
    """Its process was interrupted, or died without a word."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All that is known of a run but the histories of its metrics.

    Times are microseconds since 1970 UTC; ``metrics`` holds the last value of each.
    ``inputs`` are lineage parents as (reference, role), those it was seen to read among them;
    ``details`` are facts about the execution itself: training, seed, threads. ``reads`` is None
    when nobody watched the run, or it ended before it was told what had been seen.
    """

    id: str
    name: str
    status: RunStatus
    started: int
    ended: int | None
    actor: str
    host: str
    pid: int
    params: Mapping[str, Value]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    inputs: tuple[tuple[str, str], ...]
    details: Mapping[str, str]
    artifacts: Mapping[str, str]
    error: str
    started_event: str
    finished_event: str
    reads: Reads | None = None

    @property
    def ref(self) -> str:
        """The run's lineage reference."""
        return reference("run", self.id)

    @property
    def seconds(self) -> float | None:
        """How long the run took; None while it runs."""
        return None if self.ended is None else (self.ended - self.started) / 1e6

    def input(self, role: str) -> str | None:
        """The first lineage parent in a role, e.g. ``dataset``."""
        return next((ref for ref, its_role in self.inputs if its_role == role), None)


@dataclass(slots=True)
class Folding:
    """Takes frames in order and knows the run as it stands."""

    begin: Begin | None = None
    finish: Finish | None = None
    params: dict[str, Value] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    reads: Reads | None = None

    def take(self, frame: Frame) -> None:
        """Fold one more frame in."""
        match frame:
            case Metrics(values=values):
                self.metrics.update(values)
            case Params(values=values):
                for name, value in values.items():
                    self.params.setdefault(name, value)
            case Tags(values=labels):
                self.tags.update(labels)
            case Artifact(name=name, digest=digest):
                self.artifacts[name] = digest
            case Reads():
                self.reads = self.reads or frame
            case Begin():
                self.begin = self.begin or frame
            case Finish():
                self.finish = self.finish or frame

    def record(self) -> RunRecord | None:
        """The run as it stands; None when not even its first frame is whole."""
        if self.begin is None:
            return None
        begin, finish = self.begin, self.finish
        return RunRecord(
            id=begin.id,
            name=begin.name,
            status=RunStatus(finish.status) if finish else RunStatus.RUNNING,
            started=begin.time,
            ended=finish.time if finish else None,
            actor=begin.actor,
            host=begin.host,
            pid=begin.pid,
            params=dict(self.params),
            tags=dict(self.tags),
            metrics=dict(self.metrics),
            inputs=tuple(
                dict.fromkeys([*begin.inputs, *(self.reads.inputs if self.reads else ())])
            ),
            details=dict(begin.details),
            artifacts=dict(self.artifacts),
            error=finish.error if finish else "",
            started_event=begin.started_event,
            finished_event=begin.finished_event,
            reads=self.reads,
        )


def fold(frames: Iterable[Frame]) -> RunRecord | None:
    """The run that these frames tell of."""
    folding = Folding()
    for frame in frames:
        folding.take(frame)
    return folding.record()


History = Mapping[str, tuple[tuple[int, float], ...]]


def histories(frames: Iterable[Frame]) -> History:
    """Every metric's values in the order they were logged, as (step, value)."""
    found: dict[str, list[tuple[int, float]]] = {}
    for frame in frames:
        if isinstance(frame, Metrics):
            for name, value in frame.values.items():
                found.setdefault(name, []).append((frame.step, value))
    return {name: tuple(points) for name, points in found.items()}
