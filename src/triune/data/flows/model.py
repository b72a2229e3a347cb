"""The nouns of flows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a flow: what it is called, and what it does; returns words about it."""

    name: str
    act: Callable[[], str]


@dataclass(frozen=True, slots=True)
class PartResult:
    """How a part went: ``attempts`` times begun, ``seconds`` in all, words about it or why not."""

    name: str
    ok: bool
    attempts: int
    seconds: float
    words: str


@dataclass(frozen=True, slots=True)
class FlowResult:
    """How a flow went. ``by`` is what ran it: ``triune`` or ``prefect``."""

    name: str
    id: str
    ok: bool
    seconds: float
    parts: tuple[PartResult, ...]
    by: str


@dataclass(frozen=True, slots=True)
class FlowRun:
    """A run of a flow as the ledger tells it; ``ok`` is None for one that never ended."""

    name: str
    id: str
    started: datetime
    ok: bool | None
    seconds: float
    words: str
