"""What a report shows, gathered and named; the templates only lay it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from triune.app.loop.model import Check
from triune.app.report.abtest import TestReport
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
    SHADOW = "shadow"
    STEP = "step"
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
    """A way back: from, to, why, and how many seconds after the first failed check.

    ``judged``: by the evidence of a canary, whose seconds count from when its harm most
    plausibly began.
    """

    rollout: str
    left: str
    css: str
    to: str
    reason: str
    seconds: float | None
    by: str
    at: datetime
    judged: bool = False


@dataclass(frozen=True, slots=True)
class LookPoint:
    """One look of a canary, or several drawn as one: ``at`` its end in seconds since 1970, the
    ``seconds`` it covers, each arm's answers and errors in them, and the e-value of harm after it.

    ``gap`` says why nothing is known of it; its counts are 0 then.
    """

    at: float
    seconds: float
    control: int
    candidate: int
    control_errors: int
    candidate_errors: int
    e: float
    gap: str = ""


@dataclass(frozen=True, slots=True)
class WeightStep:
    """From ``at`` on so many percent of the units were meant to reach the candidate."""

    at: float
    percent: float


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric at the last look: requests and events of both arms, and the evidence."""

    name: str
    n_a: int
    a: int
    n_b: int
    b: int
    e: float
    p: float
    named: bool

    @property
    def rate_a(self) -> float:
        return self.a / self.n_a if self.n_a else 0.0

    @property
    def rate_b(self) -> float:
        return self.b / self.n_b if self.n_b else 0.0


@dataclass(frozen=True, slots=True)
class CanaryView:
    """A canary. ``ended`` is None while it is under way; ``outcome`` is then empty.

    ``needed`` is the e-value that takes a candidate back. ``sentences`` explain how it ended.
    """

    rollout: str
    release: ReleaseView
    stable: ReleaseView | None
    began: float
    ended: float | None
    outcome: str
    reason: str
    needed: float
    looks: tuple[LookPoint, ...]
    steps: tuple[WeightStep, ...]
    metrics: tuple[MetricRow, ...]
    sentences: tuple[str, ...]

    @property
    def taken_back(self) -> bool:
        return self.outcome == "rolled-back"


@dataclass(frozen=True, slots=True)
class RateInterval:
    """A share of requests and its confidence interval, valid at every look."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ShadowPoint:
    """All that was compared up to a look."""

    at: float
    pairs: int
    disagreement: RateInterval
    failures: RateInterval


@dataclass(frozen=True, slots=True)
class ShadowView:
    """A shadow and what came of comparing it; limits are shares of the requests.

    ``totals`` are the numbers of the last look, as the event has them.
    """

    rollout: str
    release: ReleaseView
    stable: ReleaseView | None
    verdict: str
    reason: str
    planned: int
    most_disagreement: float
    most_failures: float
    points: tuple[ShadowPoint, ...]
    totals: Mapping[str, Any]


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
class DataView:
    """How one thing of data, features or backups stood last; ``good`` is None where nothing
    judged it."""

    what: str
    which: str
    at: datetime
    words: str
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class LineageView:
    """One prediction and everything it was made from."""

    prediction: str
    edges: tuple[Edge, ...]
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report shows; parts of which nothing is known are empty.

    ``bad_candidate`` counts the errors that a canary's candidate itself answered with,
    ``bad_failing`` the requests that failed or were lost while a release was failing, until
    traffic had left it; ``bad_planned`` all others.
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
    bad_candidate: int
    outcomes: int
    releases: tuple[ReleaseView, ...]
    marks: tuple[Mark, ...]
    smoke: tuple[SmokeView, ...]
    rollbacks: tuple[RollbackView, ...]
    shadows: tuple[ShadowView, ...]
    canaries: tuple[CanaryView, ...]
    tests: tuple[TestReport, ...]
    runs: tuple[RunView, ...]
    cards: tuple[CardView, ...]
    data: tuple[DataView, ...]
    lineage: LineageView | None
    verdict: str
    verdict_words: str
    environment: Mapping[str, str]

    def release(self, ref: str) -> ReleaseView | None:
        """The release of a reference, if the report knows it."""
        return next((release for release in self.releases if release.ref == ref), None)
