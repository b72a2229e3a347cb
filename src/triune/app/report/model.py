"""What a report shows, gathered and named; the templates only lay it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from triune.app.loop.model import Check
from triune.app.report.facts import StepFact
from triune.app.report.traffic import Traffic
from triune.ledger.envelope import Edge
from triune.stats.auc import Area

COLOURS = 8
"""How many releases have a colour of their own; further ones share a grey."""


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release under its letter, with what it is made of and how it fared."""

    letter: str
    colour: int
    ref: str
    model: str
    run: str
    training: str
    fate: str
    answered: int
    area: Area | None = None
    held_out: float | None = None

    @property
    def css(self) -> str:
        """The class that gives it its colour."""
        return f"c{self.colour}" if self.colour < COLOURS else "c-other"


class MarkKind(StrEnum):
    """What a mark in the timeline stands for."""

    SWITCH = "switch"
    REFUSED = "refused"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment, in seconds since 1970."""

    at: float
    kind: MarkKind
    label: str
    css: str


@dataclass(frozen=True, slots=True)
class TestView:
    """One smoke test of one candidate."""

    name: str
    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class SmokeView:
    """What a candidate showed before it saw a user, and what came of it."""

    release: ReleaseView
    tests: tuple[TestView, ...]
    refused: str


@dataclass(frozen=True, slots=True)
class RollbackView:
    """A way back: from, to, why, and how many seconds after the first failed check."""

    left: str
    css: str
    to: str
    reason: str
    seconds: float | None
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RunView:
    """One run: what it was given, what came out, and its metrics over time."""

    letter: str
    colour: int
    ref: str
    training: str
    seconds: float | None
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    history: Mapping[str, tuple[tuple[int, float], ...]]

    @property
    def css(self) -> str:
        return f"c{self.colour}" if self.colour < COLOURS else "c-other"


@dataclass(frozen=True, slots=True)
class CardView:
    """A model card: where it lies and its text in Markdown."""

    letter: str
    css: str
    ref: str
    text: str


@dataclass(frozen=True, slots=True)
class LineageView:
    """One prediction and everything it was made from."""

    prediction: str
    edges: tuple[Edge, ...]
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report shows; parts of which nothing is known are empty.

    ``bad_failing`` counts the requests that failed or were lost while a release was failing,
    until traffic had left it; ``bad_planned`` all others.
    """

    workspace: str
    endpoint: str
    made: datetime
    loop: str
    checks: tuple[Check, ...]
    steps: tuple[StepFact, ...]
    traffic: Traffic | None
    bad_planned: int
    bad_failing: int
    outcomes: int
    releases: tuple[ReleaseView, ...]
    marks: tuple[Mark, ...]
    smoke: tuple[SmokeView, ...]
    rollbacks: tuple[RollbackView, ...]
    runs: tuple[RunView, ...]
    cards: tuple[CardView, ...]
    lineage: LineageView | None
    verdict: str
    verdict_words: str
    environment: Mapping[str, str]

    def release(self, ref: str) -> ReleaseView | None:
        """The release of a reference, if the report knows it."""
        return next((release for release in self.releases if release.ref == ref), None)
