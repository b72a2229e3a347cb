"""The nouns: a service, the state of its process, and what `up` reports on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from triune.core.process import ProcessSpec


def nothing() -> None:
    """For a service that needs no preparation."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process and what has to be done around its first start.

    ``prepare`` runs before the process starts (make a data folder), ``settle`` once it is
    ready (make databases and buckets). Both may run again at any start and must not mind.
    """

    spec: ProcessSpec
    prepare: Callable[[], None] = nothing
    settle: Callable[[], None] = nothing

    @property
    def name(self) -> str:
        return self.spec.name


class ProcessState(StrEnum):
    """What a process is doing."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXITED = "exited"
    FAILED = "failed"

    @property
    def alive(self) -> bool:
        """Whether there is, or soon will be again, a process."""
        return self in {ProcessState.STARTING, ProcessState.RUNNING, ProcessState.RESTARTING}


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process as it is now.

    ``uptime`` is in seconds, ``rss`` (resident memory of the process and its children) in
    bytes; ``restarts`` counts the times it died and was started again since `triune up`.
    """

    name: str
    state: ProcessState
    ready: bool
    pid: int | None = None
    uptime: float | None = None
    restarts: int = 0
    rss: int | None = None
    order: int = 100


class Phase(StrEnum):
    """How far `up` has come with one service."""

    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of one service; ``seconds`` since its first step.

    ``CLEARED`` is about leftovers of a crash: ``name`` is empty and ``note`` says how many.
    ``fresh`` is false when the process was running already.
    """

    name: str
    phase: Phase
    seconds: float = 0.0
    fresh: bool = True
    note: str = ""


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """For callers that do not watch."""
