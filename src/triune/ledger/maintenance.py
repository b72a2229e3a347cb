"""Looking after the ledger's database and journal: what it holds, whether it is sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from triune.core.errors import Refused
from triune.ledger import kinds, migrations, segment
from triune.ledger.backends import connect
from triune.ledger.backends.database import Database
from triune.ledger.backends.sql import SqlStore
from triune.ledger.frames import Damage, scan
from triune.ledger.ports import Query, Stored

_AT_ONCE = 500
BASE = "base"
_ORPHANS = """
SELECT DISTINCT child FROM edges
WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.subject = edges.child) LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Info:
    """What a ledger holds. Sizes are bytes; ``waiting`` are the journal's, ``damaged`` names
    segments and events that were set aside."""

    database: str
    revision: str | None
    head: str
    events: int
    edges: int
    runs: int
    size: int
    segments: int
    waiting: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be, and where."""

    where: str
    what: str


def info(url: str, journal: Path) -> Info:
    """Counts and sizes; the schema is left as it is."""
    database = connect(url)
    try:
        revision = migrations.current(database)
        return Info(
            database=url.partition("://")[0].partition("+")[0],
            revision=revision,
            head=migrations.HEAD,
            events=_rows(database, "events"),
            edges=_rows(database, "edges"),
            runs=_rows(database, "runs"),
            size=database.size(),
            segments=len(segment.names(journal)),
            waiting=sum(path.stat().st_size for path in segment.names(journal)),
            damaged=tuple(
                path.name for path in (*segment.damaged(journal), *segment.refused(journal))
            ),
        )
    finally:
        database.close()


def _rows(database: Database, table: str) -> int:
    if not database.has_table(table):
        return 0
    return int(database.rows(f"SELECT COUNT(*) FROM {table}")[0][0])  # noqa: S608


def upgrade(url: str) -> tuple[str | None, str]:
    """Bring the schema up to date; returns the revision before and after."""
    database = connect(url)
    try:
        before = migrations.current(database)
        migrations.ensure(database)
        return before, migrations.HEAD
    finally:
        database.close()


def plan_downgrade(url: str, revision: str) -> tuple[str, str]:
    """From which revision a downgrade would start, and the statements it would run.

    Raises
    ------
    Refused: (``ledger-revision-unknown``) there is no such revision below the present one.
    """
    database = connect(url)
    try:
        start = migrations.current(database)
    finally:
        database.close()
    below = [BASE, *migrations.REVISIONS[: migrations.REVISIONS.index(start)]] if start else []
    if start is None or revision not in below:
        raise Refused(
            "ledger-revision-unknown",
            f"the ledger is at {start or BASE} and cannot go down to {revision!r}",
            hint="Possible: " + (", ".join(below) or "nothing"),
        )
    from triune.ledger.migrations.change import downgrade_sql

    return start, downgrade_sql(url, start, revision)


def downgrade(url: str, revision: str) -> None:
    """Bring the schema down; what only newer revisions hold is lost.

    Raises
    ------
    Refused: (``ledger-revision-unknown``).
    """
    plan_downgrade(url, revision)
    from triune.ledger.migrations import change

    database = connect(url)
    try:
        with database.migration_lock():
            change.downgrade(url, revision)
    finally:
        database.close()


def verify(url: str, journal: Path) -> Iterator[Finding]:
    """Everything that is wrong with the ledger; nothing is changed.

    Checked: the database's own files, the schema's revision, that every event can be read, has
    a known kind and has all its edges in the graph, that no edge of the graph lacks an event,
    and that every frame of the journal holds.
    """
    yield from _verify_journal(journal)
    database = connect(url)
    try:
        revision = migrations.current(database)
        if revision != migrations.HEAD:
            what = f"is at revision {revision}, not {migrations.HEAD}: run `triune ledger upgrade`"
            yield Finding("schema", what)
            return
        for problem in database.problems():
            yield Finding("database", problem)
        yield from _verify_events(SqlStore(database), database)
    finally:
        database.close()


def _verify_journal(folder: Path) -> Iterator[Finding]:
    for path in segment.damaged(folder):
        yield Finding(path.name, "was set aside because a part of it could not be read")
    for path in segment.refused(folder):
        yield Finding(path.name, "holds an event that the store refused")
    for path in segment.names(folder):
        for damage in _damages(path):
            yield Finding(path.name, f"bytes {damage.start} to {damage.end} hold no frame")


def _damages(path: Path) -> tuple[Damage, ...]:
    try:
        return scan(path.read_bytes()).damages
    except FileNotFoundError:  # drained and deleted by its owner in this moment
        return ()


def _verify_events(store: SqlStore, database: Database) -> Iterator[Finding]:
    events = store.select(Query())
    try:
        while some := list(islice(events, _AT_ONCE)):
            for stored in some:
                if stored.event.kind not in kinds.KINDS:
                    yield Finding(stored.event.id, f"has the unknown kind {stored.event.kind!r}")
            yield from _missing_edges(store, some)
    except msgspec.DecodeError as error:
        yield Finding("events", f"an event cannot be read: {error}")
    for (child,) in database.rows(_ORPHANS):
        yield Finding(child, "has an edge in the graph, and no event speaks of it")


def _missing_edges(store: SqlStore, some: list[Stored]) -> list[Finding]:
    wanted = {edge: stored.event.id for stored in some for edge in stored.event.edges}
    known = set(store.parents(list({edge.child for edge in wanted})))
    return [
        Finding(event, f"its edge {edge.child} -> {edge.parent} is not in the graph")
        for edge, event in wanted.items()
        if edge not in known
    ]
