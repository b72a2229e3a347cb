"""The nouns of pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class StageState(StrEnum):
    """How a stage stands, or what became of it."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    RUNNING = "running"
    RAN = "ran"
    CACHED = "cached"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    StageState.UNCHANGED: "Its outputs are those of its inputs: nothing to do.",
    StageState.CHANGED: "An input, its command or an output changed: it is to be run.",
    StageState.RUNNING: "It runs.",
    StageState.RAN: "It ran, and its outputs took the place of the old ones.",
    StageState.CACHED: "It had run with these inputs before: its outputs come from the cache.",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A file or folder that a stage reads or makes: its path and DVC's hash of its content."""

    path: str
    hash: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a stage is made of, as DVC records it."""

    name: str
    command: tuple[str, ...]
    deps: tuple[Piece, ...] = ()
    outs: tuple[Piece, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage after a run of the pipeline. ``why`` says what made it run; ``ref`` is what the
    ledger knows it by, empty when there was nothing to do; ``gaps`` what it read that no version
    records."""

    name: str
    state: StageState
    why: tuple[str, ...] = ()
    seconds: float = 0.0
    ref: str = ""
    facts: Facts | None = None
    datasets: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
