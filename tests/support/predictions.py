"""Predictions and outcomes as the ledger holds them, and a ledger in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

ENDPOINT = "flights/delay"
CONTROL = "release:flights-delay@000000000001"
CANDIDATE = "release:flights-delay@000000000002"
NOON_US = 1_795_392_000_000_000
SECOND = 1_000_000


def prediction_id(number: int, at: float = 0.0) -> str:
    """A UUIDv7 of ``at`` seconds after noon, unlike that of any other number."""
    text = f"{(NOON_US + round(at * SECOND)) // 1000:012x}70008000{number:012x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def served(number: int, release: str, at: float, **payload: Any) -> Event:
    """A prediction made ``at`` seconds after noon."""
    identifier = prediction_id(number, at)
    return Event(
        id=identifier,
        time=NOON_US + round(at * SECOND),
        kind="prediction.served",
        subject=f"prediction:{identifier}",
        actor="service:gateway",
        workspace="flights",
        payload={"endpoint": ENDPOINT, "release": release, "arm": "stable", **payload},
    )


def observed(
    prediction: Event, value: Any = 1.0, predicted: Any = 0.7, *, number: int = 0, **payload: Any
) -> Event:
    """An outcome of a prediction; of several each has its number."""
    identifier = prediction.id[:14] + f"7{number:03x}-9000-" + prediction.id[24:]
    told = {"endpoint": ENDPOINT, "value": value, "predicted": predicted, **payload}
    return Event(
        id=identifier,
        time=prediction.time + SECOND,
        kind="outcome.observed",
        subject=prediction.subject,
        actor="service:replay",
        workspace="flights",
        payload={key: given for key, given in told.items() if given is not None},
    )


class MemoryOutcomes:
    """What quality reads of a ledger; counts how many events it gave."""

    def __init__(self) -> None:
        self.log: list[Stored] = []
        self.given = 0

    def tell(self, *events: Event) -> None:
        """Append events."""
        for event in events:
            self.log.append(Stored(len(self.log) + 1, event))

    def select(self, query: Query) -> Iterator[Stored]:
        log = reversed(self.log) if query.newest_first else iter(self.log[query.after :])
        found = (s for s in log if query.kind in (None, s.event.kind))
        for place, stored in enumerate(found):
            if place == query.limit:
                return
            self.given += 1
            yield stored

    def about(self, refs: Sequence[str], kinds: Sequence[str]) -> list[Stored]:
        wanted = set(refs)
        found = [s for s in self.log if s.event.subject in wanted and s.event.kind in kinds]
        self.given += len(found)
        return found
