"""What a ledger store must do; every backend passes ``tests/contract/test_ledger_store.py``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from triune.ledger.envelope import Edge, Event


@dataclass(frozen=True, slots=True)
class Query:
    """Which events: every field that is set must match. ``kind`` may end in ``*``."""

    kind: str | None = None
    subject: str | None = None
    actor: str | None = None
    since: int | None = None
    until: int | None = None
    after: int = 0
    limit: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """An event and its place in the log (1, 2, 3, ...; gaps may occur, order never changes)."""

    sequence: int
    event: Event


@dataclass(frozen=True, slots=True)
class Position:
    """How far a named reader has come; stored in the same transaction as its events."""

    reader: str
    value: str


class Store(Protocol):
    """Durable, append-only, idempotent on the event id."""

    def append(
        self,
        events: Sequence[Event],
        *,
        position: Position | None = None,
        all_new: bool = False,
    ) -> int:
        """Store the events and their edges, and the reader's position, in one transaction.

        Returns how many were new. When it returns, they survive kill -9 and a power cut.
        Raises `Unavailable` (``ledger-disk-full``, ``ledger-unreachable``), and with ``all_new``
        `Conflict` (``event-taken``) when an id is there already; nothing is stored then.
        """
        ...

    def position(self, reader: str) -> str | None:
        """The position stored last for a reader."""
        ...

    def get(self, identifier: str) -> Event | None:
        """The event with this id."""
        ...

    def select(self, query: Query) -> Iterator[Stored]:
        """Events that match, in the order of the log (or newest first)."""
        ...

    def count(self, query: Query) -> int:
        """How many events match."""
        ...

    def about(self, refs: Sequence[str], kinds: Sequence[str]) -> list[Stored]:
        """Events of these kinds whose subject is one of these references, in the log's order."""
        ...

    def last_sequence(self) -> int:
        """The sequence of the newest event; 0 when there is none."""
        ...

    def parents(self, refs: Sequence[str]) -> list[Edge]:
        """Edges from these children to their parents."""
        ...

    def ancestors(self, ref: str, *, limit: int = 100_000) -> list[Edge]:
        """All edges on the way from ``ref`` to its roots, each once."""
        ...

    def descendants(self, ref: str, *, limit: int = 100_000) -> list[Edge]:
        """All edges on the way from ``ref`` to what was made from it, each once."""
        ...

    def references(self, kind: str) -> Iterator[str]:
        """Every reference of a kind that the ledger knows, as child, parent or subject."""
        ...

    def close(self) -> None:
        """Give back connections and files."""
        ...
