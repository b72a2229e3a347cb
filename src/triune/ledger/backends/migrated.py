"""A database whose tables are brought up to date when it is first reached, not before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from triune.ledger import migrations
from triune.ledger.backends.database import Cursor, Database, Row

T = TypeVar("T")


class MigratedDatabase:
    """`triune.ledger.backends.database.Database` over one that may be away at the start.

    Every call raises what the database below raises; the first that reaches it also migrates it,
    and may raise `Conflict` (``ledger-schema-newer``).
    """

    def __init__(self, below: Database) -> None:
        self._below = below
        self._lock = threading.Lock()
        self._done = False

    @property
    def url(self) -> str:
        return self._below.url

    def ready(self) -> Database:
        """The database below, up to date."""
        with self._lock:
            if not self._done:
                migrations.ensure(self._below)
                self._done = True
        return self._below

    def write(self, work: Callable[[Cursor], T]) -> T:
        return self.ready().write(work)

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return self.ready().rows(statement, parameters)

    def has_table(self, name: str) -> bool:
        return self.ready().has_table(name)

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        with self._below.migration_lock():
            yield

    def problems(self) -> list[str]:
        return self.ready().problems()

    def size(self) -> int:
        return self.ready().size()

    def close(self) -> None:
        self._below.close()
