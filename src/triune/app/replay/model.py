"""What is sent, what is remembered of it, and how a replay stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One request that an endpoint got, or would have got, at a time in the past.

    Attributes
    ----------
    unit: the identity that assignment sticks to
    at: when it was made
    inputs: column name to values, one for each row asked about
    outcome: what happened to the unit afterwards; None when that never became known
    outcome_delay_s: seconds from ``at`` until the outcome was known
    outcome_name: what the outcome is called in the ledger
    """

    unit: str
    at: datetime
    inputs: Mapping[str, list[Any]]
    outcome: float | None = None
    outcome_delay_s: float = 0.0
    outcome_name: str = "outcome"


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request as it went: a line of a replay's records.

    ``number`` counts from 0 without gaps; ``sent`` is in microseconds since 1970 and ``took``
    in microseconds; ``status`` is HTTP's, or 0 when no answer came, and ``error`` says why.
    """

    number: int
    sent: int
    took: int
    status: int
    unit: str
    prediction: str = ""
    release: str = ""
    arm: str = ""
    degraded: bool = False
    score: float | None = None
    outcome: float | None = None
    error: str = ""

    @property
    def answered(self) -> bool:
        """Whether an answer came back, good or not."""
        return self.status != NO_ANSWER

    @property
    def good(self) -> bool:
        """Whether it was the answer to the question."""
        return 200 <= self.status < 300


class ReleaseCount(msgspec.Struct):
    """How many requests a release answered, well and badly."""

    good: int = 0
    failed: int = 0
    last_prediction: str = ""


@dataclass
class Summary:
    """How a replay stands; written to its file twice a second and at the end.

    ``sent`` = ``good`` + ``failed`` + ``lost`` + ``in_flight``. Failed means an answer other
    than 2xx; lost means no answer at all. Times are seconds since 1970, latencies
    milliseconds over the last second of traffic.
    """

    id: str
    endpoint: str
    url: str
    rate: float
    records: str
    pid: int
    started: float
    updated: float = 0.0
    finished: float | None = None
    sent: int = 0
    good: int = 0
    failed: int = 0
    lost: int = 0
    degraded: int = 0
    outcomes: int = 0
    outcomes_pending: int = 0
    rounds: int = 1
    p50_ms: float | None = None
    p99_ms: float | None = None
    at: str = ""
    error: str = ""
    releases: dict[str, ReleaseCount] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """Requests sent whose answer is not there yet."""
        return self.sent - self.good - self.failed - self.lost

    def count(self, record: Record) -> None:
        """Take one finished request into account."""
        self.degraded += record.degraded
        if not record.answered:
            self.lost += 1
            return
        release = self.releases.setdefault(record.release, ReleaseCount())
        if record.good:
            self.good += 1
            release.good += 1
            release.last_prediction = record.prediction
        else:
            self.failed += 1
            release.failed += 1
