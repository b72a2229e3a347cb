"""The ledger's store in memory, for tests of what stands on it; passes the same contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triune.core.ids import kind_of
from triune.ledger.backends.sql import taken
from triune.ledger.envelope import Edge, Event
from triune.ledger.ports import Position, Query, Stored


class SqlStore:
    """Lists and sets instead of tables; named for what it stands for."""

    def __init__(self) -> None:
        self._log: list[Stored] = []
        self._by_id: dict[str, Event] = {}
        self._edges: dict[Edge, None] = {}
        self._positions: dict[str, str] = {}

    def append(
        self,
        events: Sequence[Event],
        *,
        position: Position | None = None,
        all_new: bool = False,
    ) -> int:
        new, ids = 0, [event.id for event in events]
        if all_new and (len(set(ids)) < len(ids) or self._by_id.keys() & ids):
            raise taken()
        for event in events:
            if event.id not in self._by_id:
                new += 1
                self._by_id[event.id] = event
                self._log.append(Stored(len(self._log) + 1, event))
            self._edges.update(dict.fromkeys(event.edges))
        if position is not None:
            self._positions[position.reader] = position.value
        return new

    def position(self, reader: str) -> str | None:
        return self._positions.get(reader)

    def get(self, identifier: str) -> Event | None:
        return self._by_id.get(identifier)

    def select(self, query: Query) -> Iterator[Stored]:
        found = [stored for stored in self._log if _matches(query, stored)]
        if query.newest_first:
            found.reverse()
        yield from found[: query.limit]

    def count(self, query: Query) -> int:
        return sum(1 for _ in self.select(query))

    def about(self, refs: Sequence[str], kinds: Sequence[str]) -> list[Stored]:
        return [s for s in self._log if s.event.subject in refs and s.event.kind in kinds]

    def last_sequence(self) -> int:
        return len(self._log)

    def parents(self, refs: Sequence[str]) -> list[Edge]:
        return [edge for edge in self._edges if edge.child in refs]

    def ancestors(self, ref: str, *, limit: int = 100_000) -> list[Edge]:
        return self._walk(ref, limit, up=True)

    def descendants(self, ref: str, *, limit: int = 100_000) -> list[Edge]:
        return self._walk(ref, limit, up=False)

    def _walk(self, ref: str, limit: int, *, up: bool) -> list[Edge]:
        seen, waiting, found = {ref}, [ref], []
        while waiting:
            here = waiting.pop(0)
            for edge in self._edges:
                if (edge.child if up else edge.parent) != here:
                    continue
                found.append(edge)
                there = edge.parent if up else edge.child
                if there not in seen:
                    seen.add(there)
                    waiting.append(there)
        return found[:limit]

    def references(self, kind: str) -> Iterator[str]:
        named = [stored.event.subject for stored in self._log]
        named += [ref for edge in self._edges for ref in (edge.child, edge.parent)]
        yield from dict.fromkeys(ref for ref in named if kind_of(ref) == kind)

    def close(self) -> None:
        self._log = []


def _matches(query: Query, stored: Stored) -> bool:
    event = stored.event
    if query.kind is not None:
        wild = query.kind.endswith("*")
        if not (event.kind.startswith(query.kind[:-1]) if wild else event.kind == query.kind):
            return False
    return (
        query.subject in (None, event.subject)
        and query.actor in (None, event.actor)
        and (query.since is None or event.time >= query.since)
        and (query.until is None or event.time < query.until)
        and stored.sequence > query.after
    )
