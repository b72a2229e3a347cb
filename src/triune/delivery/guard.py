"""When a release that users see is left again. Pure: readings in, a decision out.

Two checks give readings of the live arm: its own health, asked directly, and the share of
5xx among what the gateway answered for it in the last second. A check that could not be made
gives no reading: it neither counts as a failure nor as a success.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from triune.delivery.gateway.model import Counters

HEALTH_TIMEOUT_SECONDS = 0.75
ERROR_WINDOW_SECONDS = 1.0
ERROR_SHARE = 0.5
ERROR_MINIMUM = 10


class Check(StrEnum):
    """What was looked at."""

    HEALTH = "health"
    ERRORS = "gateway-errors"


class Action(StrEnum):
    """What the guard does next."""

    WAIT = "wait"
    ROLL_BACK = "roll-back"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the live arm; ``at`` in seconds since 1970."""

    at: float
    check: Check
    healthy: bool
    words: str


@dataclass(frozen=True, slots=True)
class Streak:
    """Failed readings in a row: how many, since when, and the last of them."""

    failures: int = 0
    since: float | None = None
    last: Reading | None = None

    def after(self, reading: Reading) -> Streak:
        """The streak with one more reading."""
        if reading.healthy:
            return Streak(last=reading)
        since = reading.at if self.since is None else self.since
        return Streak(self.failures + 1, since, reading)


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """The gateway's counters of the last second, oldest first."""

    samples: tuple[tuple[float, Counters], ...] = ()

    def after(self, at: float, counters: Counters) -> ErrorRate:
        """With one more sample; of those older than the window only the newest is kept."""
        samples = (*self.samples, (at, counters))
        old = [sample for sample in samples if sample[0] <= at - ERROR_WINDOW_SECONDS]
        return replace(self, samples=(*old[-1:], *samples[len(old) :]))

    def reading(self, at: float) -> Reading | None:
        """What the samples say; None before there are two."""
        if len(self.samples) < 2:
            return None
        first, last = self.samples[0][1], self.samples[-1][1]
        errors, total = last.errors - first.errors, last.total - first.total
        failing = errors >= ERROR_MINIMUM and errors > ERROR_SHARE * total
        words = f"{errors} of the last {total} answers were 5xx"
        return Reading(at, Check.ERRORS, not failing, words)


def worst(*readings: Reading | None) -> Reading | None:
    """The reading that counts of several made at once: a failed one before a good one."""
    made = [reading for reading in readings if reading is not None]
    failed = [reading for reading in made if not reading.healthy]
    return next(iter(failed or made), None)


def decide(streak: Streak, *, now: float, until: float, limit: int) -> Action:
    """Go back after ``limit`` failures in a row; complete after the window, when healthy.

    Without any reading since the window ended nothing is completed: missing data is no pass.
    """
    if streak.failures >= limit:
        return Action.ROLL_BACK
    healthy = streak.last is not None and streak.last.healthy and streak.last.at >= until
    if now >= until and healthy:
        return Action.COMPLETE
    return Action.WAIT
