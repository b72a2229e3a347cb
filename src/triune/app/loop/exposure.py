"""What the records of the traffic say of a canary: whom it reached, and what it cost them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from triune.app.replay.model import Record

CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Exposure:
    """The requests that a release answered: how many, for how many units, how many badly, and
    the seconds from the first to the last of them."""

    requests: int
    units: int
    failed: int
    seconds: float


def exposure(records: Iterable[Record], release: str) -> Exposure:
    """How far a release reached users."""
    its = [record for record in records if record.release == release]
    sent = [record.sent for record in its]
    return Exposure(
        requests=len(its),
        units=len({record.unit for record in its}),
        failed=sum(not record.good for record in its),
        seconds=(max(sent) - min(sent)) / 1e6 if sent else 0.0,
    )


def own_failure(record: Record, release: str) -> bool:
    """Whether a canary's candidate itself gave this bad answer: one that came, and is its."""
    return record.answered and not record.good and _as_candidate(record, release)


def _as_candidate(record: Record, release: str) -> bool:
    return record.release == release and record.arm == CANDIDATE


def flipped_back(records: Iterable[Record], candidate: str, stable: str) -> tuple[int, int]:
    """How many units reached the candidate, and how many of them the stable release afterwards.

    Afterwards: the request was sent when the unit had an answer of the candidate already.
    Requests of one unit that were under way together may reach the gateway in any order.
    """
    since: dict[str, int] = {}
    back: set[str] = set()
    for record in sorted(records, key=lambda record: record.sent):
        if record.release == candidate:
            done = record.sent + record.took
            since[record.unit] = min(done, since.get(record.unit, done))
        elif record.release == stable and record.sent > since.get(record.unit, record.sent):
            back.add(record.unit)
    return len(since), len(back)
