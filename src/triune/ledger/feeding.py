"""What wrote the features that a prediction was made with."""

from __future__ import annotations

from collections.abc import Iterable

from triune.core.ids import kind_of
from triune.ledger import ancestry
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Store

MATERIALIZED, CONSUMED = "features.materialized", "stream.consumed"


def fed_by(store: Store, ref: str) -> list[Event]:
    """Materialisations and stream ranges of the view versions that a reference reads.

    Of a prediction only those up to its time, and of each stream's partition the first range told
    afterwards besides: it may hold what was applied just before. Oldest first.
    """
    graph = ancestry.graph(store, ref)
    views = {one for one in graph.reachable(ref) if kind_of(one) == "features"}
    described = graph.events.get(ref)
    until = described.time if described is not None and kind_of(ref) == "prediction" else None
    found = []
    after: set[tuple[str, int]] = set()
    for kind in (MATERIALIZED, CONSUMED):
        for stored in store.select(Query(kind=kind)):
            event = stored.event
            if not any(edge.parent in views for edge in event.edges):
                continue
            if until is None or event.time <= until:
                found.append(event)
            elif kind == CONSUMED:
                place = (event.payload["stream"], event.payload["partition"])
                if place not in after:
                    after.add(place)
                    found.append(event)
    return sorted(found, key=lambda event: event.time)


def newest(events: Iterable[Event]) -> list[Event]:
    """Of what fed something, oldest first: the last of each view and of each stream's partition."""
    last: dict[tuple[object, ...], Event] = {}
    for event in events:
        if event.kind == CONSUMED:
            place: tuple[object, ...] = (event.payload["stream"], event.payload["partition"])
        else:
            place = tuple(sorted(e.parent for e in event.edges if kind_of(e.parent) == "features"))
        last[place] = event
    return sorted(last.values(), key=lambda event: event.time)
