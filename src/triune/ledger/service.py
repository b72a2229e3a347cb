"""The ledger as everyone uses it: append and forget, record and be sure, ask."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from triune.core.errors import Refused, TriuneError, Unavailable
from triune.ledger import ancestry, feeding, kinds
from triune.ledger.backends import connect
from triune.ledger.backends.database import Database
from triune.ledger.backends.migrated import MigratedDatabase
from triune.ledger.backends.sql import SqlStore
from triune.ledger.drain import Drainer
from triune.ledger.envelope import Edge, Event
from triune.ledger.journal import LIMIT_BYTES, Journal
from triune.ledger.lineage import Coverage, Gap, Graph, Lineage
from triune.ledger.ports import Position, Query, Store, Stored

if TYPE_CHECKING:
    from triune.ledger.runs import RunIndex

CLOSE_SECONDS = 10.0
SETTLE_SECONDS = 2.0
AWAY_SECONDS = 0.2
LONGEST_WORD = 200
"""Characters in a reference or name: three in UTF-8 must fit one entry of an index."""
POLL_SECONDS = 0.05

_log = logging.getLogger(__name__)


class Ledger:
    """One workspace's log. Thread-safe; usable in a child after a fork."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        *,
        workspace: str,
        database: Database | None = None,
    ) -> None:
        self.workspace = workspace
        self._database = database
        self._store = store
        self._journal = journal
        self._drainer = Drainer(journal, store)
        self._close_seconds = CLOSE_SECONDS

    @classmethod
    def open(
        cls,
        url: str,
        journal: Path,
        *,
        workspace: str,
        journal_limit: int = LIMIT_BYTES,
        patient: bool = False,
    ) -> Ledger:
        """Open the ledger at ``url``, its tables brought up to date.

        A ``patient`` ledger also opens while its database is away: events are taken as ever and
        wait in the journal, what is asked raises `Unavailable`, and the tables are brought up to
        date when the database is first reached.

        Events that dead processes left in the folder ``journal`` are taken over first. When they
        are so many that this takes more than two seconds, the rest follows in the background;
        `flush` waits for it.

        Raises
        ------
        Unavailable: ``ledger-unreachable``.
        Conflict: ``ledger-schema-newer``.
        """
        database = MigratedDatabase(connect(url))
        reached = _reached(database, patient=patient)
        ledger = cls(
            SqlStore(database),
            Journal(journal, limit_bytes=journal_limit),
            workspace=workspace,
            database=database,
        )
        if ledger._journal.adopt():
            ledger._settle(SETTLE_SECONDS if reached else AWAY_SECONDS)
        if not reached:
            ledger._close_seconds = AWAY_SECONDS
        return ledger

    def _settle(self, timeout: float) -> None:
        try:
            self._drainer.flush(timeout)
        except Unavailable as late:
            _log.warning("%s", late.message)

    @property
    def database(self) -> Database:
        """The database below, for other indexes that live in it; not there over a fake."""
        if self._database is None:
            raise TriuneError(
                "ledger-without-database",
                "this ledger is kept in memory",
                hint="Open one with `Ledger.open`.",
            )
        return self._database

    @cached_property
    def runs(self) -> RunIndex:
        """The index of runs in the same database."""
        from triune.ledger.runs import RunIndex

        return RunIndex(self.database)

    def append(self, event: Event) -> None:
        """Hand an event over: it survives kill -9 of any process and reaches the store soon.

        One ``write`` to a local file. The caller never waits for the database, not even when
        it is down. For what must also survive a power cut, use `record`.

        Raises
        ------
        Refused: ``event-kind-unknown``, ``event-invalid``, ``event-too-large``.
        Unavailable: ``journal-full``, ``ledger-disk-full``; the event was not taken.
        """
        check(event)
        self._journal.append(event)
        self._drainer.wake()

    def record(
        self,
        events: Sequence[Event],
        *,
        position: Position | None = None,
        all_new: bool = False,
    ) -> int:
        """Store events now, with a reader's position; synced when it returns.

        Returns how many were new: an id that is stored already is not stored again. All or
        nothing.

        Raises
        ------
        Conflict: (``event-taken``) with ``all_new``: an id is stored already; nothing was.
        """
        for event in events:
            check(event)
        return self._store.append(events, position=position, all_new=all_new)

    def flush(self, timeout: float = 30.0) -> None:
        """Wait until all events appended so far by this process are in the store.

        Raises
        ------
        Unavailable: (``ledger-flush-timeout``) the events stay in the journal.
        """
        self._drainer.flush(timeout)

    def get(self, identifier: str) -> Event | None:
        """The event with this id."""
        return self._store.get(identifier)

    def select(self, query: Query | None = None) -> Iterator[Stored]:
        """Events that match, in the order of the log or newest first."""
        return self._store.select(query or Query())

    def count(self, query: Query | None = None) -> int:
        """How many events match."""
        return self._store.count(query or Query())

    def last_sequence(self) -> int:
        """The place of the newest event in the log; 0 when there is none."""
        return self._store.last_sequence()

    def about(self, refs: Sequence[str], kinds: Sequence[str]) -> list[Stored]:
        """Events of these kinds whose subject is one of these references, in the log's order."""
        return self._store.about(refs, kinds)

    def position(self, reader: str) -> str | None:
        """How far a named reader has come; None before its first position."""
        return self._store.position(reader)

    def parents(self, refs: Sequence[str]) -> list[Edge]:
        """Edges from these children to their parents."""
        return self._store.parents(refs)

    def ancestors(self, ref: str, *, limit: int = 100_000) -> list[Edge]:
        """All edges on the way from ``ref`` to its roots, each once."""
        return self._store.ancestors(ref, limit=limit)

    def descendants(self, ref: str, *, limit: int = 100_000) -> list[Edge]:
        """All edges on the way from ``ref`` to what was made from it, each once."""
        return self._store.descendants(ref, limit=limit)

    def fed_by(self, ref: str) -> list[Event]:
        """Materialisations and stream ranges that wrote the features a reference reads."""
        return feeding.fed_by(self._store, ref)

    def graph(self, ref: str) -> Graph:
        """A reference's ancestors as a graph, with the event that describes each."""
        return ancestry.graph(self._store, ref)

    def lineage(self, ref: str) -> Lineage:
        """A reference with all its ancestors, the event that describes each, and the gaps.

        Raises
        ------
        NotFound: (``lineage-unknown``) the ledger has never heard of it.
        """
        return ancestry.of(self._store, ref)

    def missing(self, ref: str) -> tuple[Gap, ...]:
        """What is not known of a reference and its ancestors; empty when it is complete."""
        return ancestry.missing(self._store, ref)

    def coverage(self) -> Coverage:
        """Complete artifacts over all artifacts, naming those that are not, and why."""
        return ancestry.coverage(self._store)

    def resolve(self, text: str) -> str:
        """The reference a person means by a reference or the bare id of a prediction or run.

        Raises
        ------
        NotFound: (``lineage-unknown``).
        """
        return ancestry.resolve(self._store, text)

    def references(self, kind: str) -> Iterator[str]:
        """Every reference of a kind that the ledger knows."""
        return self._store.references(kind)

    def follow(
        self, query: Query | None = None, *, stop: threading.Event | None = None
    ) -> Iterator[Stored]:
        """Events that match, those stored already and then each new one as it arrives.

        Ends when ``stop`` is set; asks the store 20 times a second whether its log grew.
        """
        wanted = query or Query()
        ended = stop or threading.Event()
        after = wanted.after
        while not ended.is_set():
            top = self._store.last_sequence()
            if top > after:
                for stored in self._store.select(_behind(wanted, after)):
                    after = max(after, stored.sequence)
                    yield stored
                after = max(after, top)
            ended.wait(POLL_SECONDS)

    def close(self, timeout: float | None = None) -> None:
        """Drain what can be drained in ``timeout`` seconds and let go of everything; by default
        10, hardly any where the database was away when the ledger was opened.

        What the store did not take stays in the journal for the next process.
        """
        patience = self._close_seconds if timeout is None else timeout
        if not self._journal.settled(self._journal.accepted):
            self._settle(patience)
        self._drainer.stop(patience)
        self._journal.close()
        self._store.close()


def _reached(database: MigratedDatabase, *, patient: bool) -> bool:
    try:
        database.ready()
    except Unavailable as away:
        if not patient:
            raise
        _log.warning("%s; events wait in the journal", away.message)
        return False
    return True


def _behind(query: Query, after: int) -> Query:
    return replace(query, after=after, limit=None, newest_first=False)


def check(event: Event) -> None:
    """Refuse what no store could keep, before anything is written.

    Raises
    ------
    Refused: ``event-kind-unknown``, ``event-invalid``.
    """
    kinds.check(event.kind)
    words = [event.id, event.subject, event.actor, event.workspace]
    for edge in event.edges:
        words += (edge.child, edge.parent, edge.role or "-")
    for text in words:
        if not 0 < len(text) <= LONGEST_WORD or "\x00" in text:
            raise Refused(
                "event-invalid",
                f"{text[:LONGEST_WORD]!r} cannot be an id, a reference or a name",
                context=event.kind,
                hint=f"Give it 1 to {LONGEST_WORD} characters, none of them NUL.",
            )
