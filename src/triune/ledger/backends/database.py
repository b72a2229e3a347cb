"""What the store needs of a database, and the pool of connections both backends share.

Statements are plain text with ``?`` for parameters, written once for both databases. They are
not built with SQLAlchemy, whose import alone takes longer than a whole `triune events`; the
tables themselves are defined with it, in `triune.ledger.schema` and the migrations.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from triune.core.errors import Conflict, Refused

C = TypeVar("C")
T = TypeVar("T")
Row = tuple[Any, ...]


class Cursor(Protocol):
    """A place to run statements inside one transaction."""

    @property
    def rowcount(self) -> int:
        """Rows the last statement changed."""
        ...

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> object:
        """Run a statement once."""
        ...

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]]) -> object:
        """Run a statement for every row of parameters."""
        ...

    def fetchall(self) -> list[Row]:
        """What the last statement returned."""
        ...


class Database(Protocol):
    """A database that the ledger's tables live in. Thread-safe; survives a fork."""

    @property
    def url(self) -> str:
        """The address as SQLAlchemy writes it."""
        ...

    def write(self, work: Callable[[Cursor], T]) -> T:
        """Run ``work`` in one transaction, alone among writers; durable when it returns.

        ``work`` may run a second time when the connection was found dead, so it must be
        idempotent. Raises `Unavailable`: ``ledger-disk-full``, ``ledger-unreachable``; `Refused`:
        ``event-invalid``, a row that the database will never take.
        """
        ...

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows a query returns."""
        ...

    def has_table(self, name: str) -> bool:
        """Whether a table exists."""
        ...

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Only one process at a time is inside, whichever way it came."""
        ...

    def problems(self) -> list[str]:
        """What the database's own check of its files finds; empty when all is well."""
        ...

    def size(self) -> int:
        """Bytes on disk."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


def refused_row(error: Exception) -> Refused:
    """The database answers, and will never take this row."""
    return Refused(
        "event-invalid",
        f"the database refuses the row: {str(error).strip()}",
        hint="Mend what was to be written; nothing of this batch was stored.",
    )


_pools: weakref.WeakSet[Pool[Any]] = weakref.WeakSet()
_inherited: list[Any] = []
"""Connections of a parent process: closing them here would disturb the parent's."""


class Pool(Generic[C]):
    """Open connections nobody uses at the moment; a connection that failed is not kept."""

    def __init__(self, connect: Callable[[], C], disconnect: Callable[[C], None]) -> None:
        self._connect = connect
        self._disconnect = disconnect
        self._closed = False
        self._idle: list[C] = []
        self._lock = threading.Lock()
        _pools.add(self)

    @contextmanager
    def lease(self) -> Iterator[C]:
        """A connection for the length of the block; one that raised is closed."""
        connection = self._take()
        try:
            yield connection
        except BaseException:
            self._disconnect(connection)
            raise
        self._give(connection)

    def _take(self) -> C:
        with self._lock:
            if self._closed:
                raise Conflict("ledger-closed", "the ledger was closed", hint="Open it again.")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give(self, connection: C) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        self._disconnect(connection)

    def drop_idle(self) -> None:
        """Close the connections nobody uses, as they may be dead."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._disconnect(connection)

    def close(self) -> None:
        """Close them all; those in use are closed when they come back."""
        self._closed = True
        self.drop_idle()

    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone and open new ones."""
        _inherited.extend(self._idle)
        self._idle = []
        self._lock = threading.Lock()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.forget()


os.register_at_fork(after_in_child=_after_fork)
