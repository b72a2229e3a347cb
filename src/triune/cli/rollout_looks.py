"""The looks of one rollout as they reach the ledger, and what plots need of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from triune.core.errors import Unavailable
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

if TYPE_CHECKING:
    from triune.delivery.rollout.view import RolloutView

LOOKED = "rollout.looked"
COMPARED = "rollout.compared"

Select = Callable[[Query], Iterator[Stored]]


@dataclass
class Looks:
    """Gives every look of a rollout once, in order: canary looks and comparisons of a shadow.

    ``trouble`` says why nothing new was found, while the ledger does not answer.
    """

    select: Select
    view: RolloutView
    trouble: str = ""
    _after: dict[str, int] = field(default_factory=dict)

    def new(self) -> list[Event]:
        """The looks that were stored since the call before."""
        try:
            found = [stored for kind in (LOOKED, COMPARED) for stored in self._read(kind)]
        except Unavailable as error:
            self.trouble = error.message
            return []
        self.trouble = ""
        for stored in found:
            self._after[stored.event.kind] = stored.sequence
        found.sort(key=lambda stored: stored.sequence)
        return [stored.event for stored in found if self._ours(stored.event)]

    def _read(self, kind: str) -> Iterator[Stored]:
        since = round(self.view.started * 1e6) - 1
        after = self._after.get(kind, 0)
        return self.select(Query(kind=kind, subject=self.view.release, since=since, after=after))

    def _ours(self, event: Event) -> bool:
        return bool(event.payload["rollout"] == self.view.rollout)


@dataclass(frozen=True, slots=True)
class Point:
    """One look of a canary: ``at`` in seconds since 1970, ``weight`` in percent of the units,
    requests and errors of both arms since the look before (none where the readings had a gap)."""

    number: int
    at: float
    weight: float
    e: float
    needed: float
    control: int = 0
    candidate: int = 0
    control_errors: int = 0
    candidate_errors: int = 0


def points(events: Iterable[Event]) -> list[Point]:
    """The looks of a canary among the events."""
    return [_point(event) for event in events if event.kind == LOOKED]


def _point(event: Event) -> Point:
    payload = event.payload
    reading: Mapping[str, Any] = payload["reading"]
    counts = ("control", "candidate", "control_errors", "candidate_errors")
    return Point(
        number=payload["number"],
        at=event.time / 1e6,
        weight=payload["weight"] / 100,
        e=payload["e"],
        needed=payload["needed"],
        **{name: reading.get(name, 0) for name in counts},
    )


Rates = tuple[float, float | None, float | None]
"""A moment, and the share of errors of control and candidate about then; None: no request."""


def rates(looks: Sequence[Point], most: int) -> list[Rates]:
    """The arms' error rates in at most ``most`` stretches of as many looks each."""
    if not looks:
        return []
    size = -(-len(looks) // max(most, 1))
    return [_rate(looks[start : start + size]) for start in range(0, len(looks), size)]


def _rate(stretch: Sequence[Point]) -> Rates:
    control = sum(point.control for point in stretch)
    candidate = sum(point.candidate for point in stretch)
    return (
        stretch[-1].at,
        sum(point.control_errors for point in stretch) / control if control else None,
        sum(point.candidate_errors for point in stretch) / candidate if candidate else None,
    )
