"""The ledger's database on PostgreSQL, through psycopg 3."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg

from triune.core.errors import Unavailable
from triune.ledger.backends.database import Cursor, Pool, Row, refused_row

T = TypeVar("T")
Connection = psycopg.Connection[Row]

CONNECT_SECONDS = 5
_APPEND_LOCK = zlib.crc32(b"triune ledger append")
_MIGRATE_LOCK = zlib.crc32(b"triune ledger migrate")
_BAD_ROW = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
_LOST = (psycopg.OperationalError, psycopg.InterfaceError)


@lru_cache(maxsize=512)
def _native(statement: str) -> str:
    return statement.replace("?", "%s")


class _Cursor:
    """A psycopg cursor that takes ``?`` for parameters."""

    def __init__(self, cursor: psycopg.Cursor[Row]) -> None:
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> object:
        return self._cursor.execute(_native(statement).encode(), parameters)

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]]) -> object:
        self._cursor.executemany(_native(statement).encode(), parameters)
        return None

    def fetchall(self) -> list[Row]:
        return self._cursor.fetchall()


class PostgresqlDatabase:
    """A database on a server.

    Writers take an advisory lock for the length of their transaction. Sequence numbers are
    therefore given in the order of commits, and a reader that asks for what comes after the
    last number it saw misses nothing.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._address = "postgresql://" + url.partition("://")[2]
        self._pool: Pool[Connection] = Pool(self._connect, Connection.close)

    @property
    def url(self) -> str:
        return self._url

    def _connect(self) -> Connection:
        return psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="triune-ledger",
            options="-c synchronous_commit=on",
        )

    def write(self, work: Callable[[Cursor], T]) -> T:
        return self._with_connection(lambda connection: _transaction(connection, work))

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        native = _native(statement).encode()
        return self._with_connection(
            lambda connection: connection.execute(native, parameters).fetchall()
        )

    def _with_connection(self, use: Callable[[Connection], T]) -> T:
        """Use a connection; once more on a fresh one if the server went away in between."""
        try:
            return self._once(use)
        except _LOST:
            self._pool.drop_idle()
        try:
            return self._once(use)
        except _LOST as error:
            raise self._unreachable(error) from error

    def _once(self, use: Callable[[Connection], T]) -> T:
        try:
            with self._pool.lease() as connection:
                return use(connection)
        except psycopg.errors.DiskFull as error:
            raise self._full(error) from error
        except _BAD_ROW as error:
            raise refused_row(error) from error

    def has_table(self, name: str) -> bool:
        return self.rows("SELECT to_regclass(?)", (name,)) != [(None,)]

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        try:
            with self._pool.lease() as connection:
                connection.execute("SELECT pg_advisory_lock(%s)", (_MIGRATE_LOCK,))
                try:
                    yield
                finally:
                    connection.execute("SELECT pg_advisory_unlock(%s)", (_MIGRATE_LOCK,))
        except _LOST as error:
            raise self._unreachable(error) from error

    def problems(self) -> list[str]:
        return []

    def size(self) -> int:
        total = "SELECT pg_database_size(current_database())"
        return int(self.rows(total)[0][0])

    def close(self) -> None:
        self._pool.close()

    def _place(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.hostname or 'socket'}:{parts.port or 5432}{parts.path}"

    def _unreachable(self, error: Exception) -> Unavailable:
        return Unavailable(
            "ledger-unreachable",
            f"the ledger does not answer: {str(error).strip()}",
            context=self._place(),
            hint="Start the database (`triune up`) and check its log (`triune logs postgres`).",
        )

    def _full(self, error: Exception) -> Unavailable:
        return Unavailable(
            "ledger-disk-full",
            f"the ledger cannot grow: {str(error).strip()}",
            context=self._place(),
            hint="Free space on the server's disk; nothing of this batch was stored.",
        )


def _transaction(connection: Connection, work: Callable[[Cursor], T]) -> T:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_APPEND_LOCK,))
        return work(_Cursor(cursor))
