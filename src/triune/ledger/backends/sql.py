"""The ledger's store in SQL: one code for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from triune.core.errors import Conflict, Refused
from triune.ledger.backends.database import Cursor, Database, Row
from triune.ledger.envelope import Edge, Event
from triune.ledger.ports import Position, Query, Stored

PAGE = 1000
_AT_ONCE = 500

_COLUMNS = "id, time, kind, subject, actor, workspace, version, payload, causes, edges"
_ADD_EVENT = (
    f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    " ON CONFLICT (id) DO NOTHING"
)
_ADD_EDGE = "INSERT INTO edges (child, parent, role) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_SET_POSITION = (
    "INSERT INTO positions (reader, value) VALUES (?, ?)"
    " ON CONFLICT (reader) DO UPDATE SET value = excluded.value"
)
_ANCESTORS = """
WITH RECURSIVE way(ref) AS (
  SELECT child FROM edges WHERE child = ?
  UNION SELECT e.parent FROM way JOIN edges e ON e.child = way.ref
)
SELECT e.child, e.parent, e.role FROM way JOIN edges e ON e.child = way.ref LIMIT ?
"""
_DESCENDANTS = """
WITH RECURSIVE way(ref) AS (
  SELECT parent FROM edges WHERE parent = ?
  UNION SELECT e.child FROM way JOIN edges e ON e.parent = way.ref
)
SELECT e.child, e.parent, e.role FROM way JOIN edges e ON e.parent = way.ref LIMIT ?
"""
# Jumps from one distinct value to the next by the index: a release with a million
# predictions costs one step, not a million.
_DISTINCT = """
WITH RECURSIVE found(ref) AS (
  SELECT MIN({column}) FROM {table} WHERE {column} > ? AND {column} < ?
  UNION ALL
  SELECT (SELECT MIN(t.{column}) FROM {table} t WHERE t.{column} > found.ref AND t.{column} < ?)
  FROM found WHERE found.ref IS NOT NULL
)
SELECT ref FROM found WHERE ref IS NOT NULL
"""
_PLACES = (("events", "subject"), ("edges", "child"), ("edges", "parent"))

_json = msgspec.json.Encoder().encode
_payload_of = msgspec.json.Decoder(dict[str, object]).decode
_causes_of = msgspec.json.Decoder(tuple[str, ...]).decode
_edges_of = msgspec.json.Decoder(tuple[Edge, ...]).decode


class SqlStore:
    """`triune.ledger.ports.Store` over a `Database` whose tables are up to date."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def append(
        self,
        events: Sequence[Event],
        *,
        position: Position | None = None,
        all_new: bool = False,
    ) -> int:
        rows = _rows(events)
        edges = list(chain.from_iterable(event.edges for event in events))

        def work(cursor: Cursor) -> int:
            new = 0
            if rows:
                cursor.executemany(_ADD_EVENT, rows)
                new = cursor.rowcount
            if all_new and new != len(rows):
                raise taken()
            if edges:
                cursor.executemany(_ADD_EDGE, [(e.child, e.parent, e.role) for e in edges])
            if position is not None:
                cursor.execute(_SET_POSITION, (position.reader, position.value))
            return new

        return self.database.write(work)

    def position(self, reader: str) -> str | None:
        rows = self.database.rows("SELECT value FROM positions WHERE reader = ?", (reader,))
        return str(rows[0][0]) if rows else None

    def get(self, identifier: str) -> Event | None:
        statement = f"SELECT sequence, {_COLUMNS} FROM events WHERE id = ?"  # noqa: S608
        rows = self.database.rows(statement, (identifier,))
        return _stored(rows[0]).event if rows else None

    def about(self, refs: Sequence[str], kinds: Sequence[str]) -> list[Stored]:
        found: list[Stored] = []
        for some in _pieces(refs):
            statement = (
                f"SELECT sequence, {_COLUMNS} FROM events"  # noqa: S608
                f" WHERE subject IN ({_marks(some)}) AND kind IN ({_marks(kinds)})"
            )
            found += [_stored(row) for row in self.database.rows(statement, (*some, *kinds))]
        return sorted(found, key=lambda stored: stored.sequence)

    def select(self, query: Query) -> Iterator[Stored]:
        """Pages of one query each, so that a slow reader holds no transaction open."""
        left = query.limit
        low, high = self._floor(query), None
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self._page(query, low, high, size)
            yield from page
            if len(page) < size:
                return
            left = None if left is None else left - size
            if query.newest_first:
                high = page[-1].sequence
            else:
                low = page[-1].sequence

    def _page(self, query: Query, low: int, high: int | None, size: int) -> list[Stored]:
        where, parameters = _conditions(query, low, high)
        order = "DESC" if query.newest_first else "ASC"
        statement = (
            f"SELECT sequence, {_COLUMNS} FROM events{where}"  # noqa: S608
            f" ORDER BY sequence {order} LIMIT ?"
        )
        return [_stored(row) for row in self.database.rows(statement, (*parameters, size))]

    def _floor(self, query: Query) -> int:
        """A sequence below every event that matches.

        The index by time finds where a period begins in the log; without this, a question
        about the last minute would read every event of a kind.
        """
        if query.since is None:
            return query.after
        statement = "SELECT MIN(sequence) FROM events WHERE time >= ?"
        first = self.database.rows(statement, (query.since,))[0][0]
        return max(query.after, first - 1 if first is not None else self.last_sequence())

    def count(self, query: Query) -> int:
        where, parameters = _conditions(query, self._floor(query), None)
        statement = f"SELECT COUNT(*) FROM events{where}"  # noqa: S608
        total = int(self.database.rows(statement, parameters)[0][0])
        return total if query.limit is None else min(total, query.limit)

    def last_sequence(self) -> int:
        return int(self.database.rows("SELECT COALESCE(MAX(sequence), 0) FROM events")[0][0])

    def parents(self, refs: Sequence[str]) -> list[Edge]:
        found: list[Edge] = []
        for some in _pieces(refs):
            statement = f"SELECT child, parent, role FROM edges WHERE child IN ({_marks(some)})"  # noqa: S608
            found += [Edge(*row) for row in self.database.rows(statement, some)]
        return found

    def ancestors(self, ref: str, *, limit: int = 100_000) -> list[Edge]:
        return [Edge(*row) for row in self.database.rows(_ANCESTORS, (ref, limit))]

    def descendants(self, ref: str, *, limit: int = 100_000) -> list[Edge]:
        return [Edge(*row) for row in self.database.rows(_DESCENDANTS, (ref, limit))]

    def references(self, kind: str) -> Iterator[str]:
        low, high = _range(f"{kind}:")
        seen: set[str] = set()
        for table, column in _PLACES:
            statement = _DISTINCT.format(table=table, column=column)
            for (ref,) in self.database.rows(statement, (low, high, high)):
                if ref not in seen:
                    seen.add(ref)
                    yield ref

    def close(self) -> None:
        self.database.close()


def taken() -> Conflict:
    """The error for an id that another event has."""
    return Conflict(
        "event-taken",
        "somebody else recorded this first",
        hint="Look at what there is now, and do it again.",
    )


def _rows(events: Sequence[Event]) -> list[Row]:
    try:
        return [_row(event) for event in events]
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(
            "event-invalid",
            f"an event cannot be written: {error}",
            hint="Payloads hold text, numbers, booleans, lists and tables only.",
        ) from error


def _row(event: Event) -> Row:
    return (
        event.id,
        event.time,
        event.kind,
        event.subject,
        event.actor,
        event.workspace,
        event.version,
        _json(event.payload).decode() if event.payload else "{}",
        _json(event.causes).decode() if event.causes else "[]",
        _json(event.edges).decode() if event.edges else "[]",
    )


def _stored(row: Row) -> Stored:
    sequence, identifier, time, kind, subject, actor, workspace, version = row[:8]
    payload, causes, edges = row[8:]
    event = Event(
        id=identifier,
        time=time,
        kind=kind,
        subject=subject,
        actor=actor,
        workspace=workspace,
        version=version,
        payload=_payload_of(payload),
        causes=_causes_of(causes) if causes != "[]" else (),
        edges=_edges_of(edges) if edges != "[]" else (),
    )
    return Stored(sequence, event)


def _pieces(refs: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(refs), _AT_ONCE):
        yield refs[start : start + _AT_ONCE]


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _range(prefix: str) -> tuple[str, str]:
    """All texts that begin with the prefix lie above the first and below the second."""
    return prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _conditions(query: Query, low: int, high: int | None) -> tuple[str, list[object]]:
    terms: list[str] = []
    parameters: list[object] = []

    def add(term: str, *values: object) -> None:
        terms.append(term)
        parameters.extend(values)

    kind = query.kind
    if kind is not None and kind.endswith("*"):
        if kind != "*":
            add("kind >= ? AND kind < ?", *_range(kind[:-1]))
    elif kind is not None:
        add("kind = ?", kind)
    if query.subject is not None:
        add("subject = ?", query.subject)
    if query.actor is not None:
        add("actor = ?", query.actor)
    if query.since is not None:
        add("time >= ?", query.since)
    if query.until is not None:
        add("time < ?", query.until)
    if low:
        add("sequence > ?", low)
    if high is not None:
        add("sequence < ?", high)
    return (" WHERE " + " AND ".join(terms) if terms else ""), parameters
