"""Online rows in one SQLite file, for a workspace on one machine."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from triune.core.errors import Unavailable
from triune.core.files import own_folder
from triune.data.features.online.ports import Request, Stored, moved

AT_ONCE = 1_000
_MOST_VARIABLES = 900
_TABLES = (
    "CREATE TABLE IF NOT EXISTS rows (key BLOB, field BLOB, row BLOB NOT NULL, "
    "PRIMARY KEY (key, field)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS marks (project TEXT, stream TEXT, name TEXT, "
    "value INTEGER NOT NULL, PRIMARY KEY (project, stream, name)) WITHOUT ROWID",
)
# Bytes 6 to 21 are event and created time, made to sort.
_PUT = (
    "INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET row = excluded.row "
    "WHERE substr(excluded.row, 6, 16) >= substr(rows.row, 6, 16) AND excluded.row != rows.row"
)
_MARK = "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)"
_MARKS = "SELECT name, value FROM marks WHERE project = ? AND stream = ?"


class SqlitePlace:
    """A `Place` in a file; each thread has a connection of its own."""

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        self._path = path
        self._timeout = timeout
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []

    def fetch(self, requests: Sequence[Request]) -> list[list[bytes | None]]:
        found: dict[tuple[bytes, bytes], bytes] = {}
        keys = list(dict.fromkeys(key for key, _ in requests))
        with self._open() as connection:
            for begin in range(0, len(keys), _MOST_VARIABLES):
                some = keys[begin : begin + _MOST_VARIABLES]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, field, row FROM rows WHERE key IN ({marks})"  # noqa: S608
                found |= {(key, field): row for key, field, row in connection.execute(query, some)}
        return [[found.get((key, field)) for field in fields] for key, fields in requests]

    def put(self, rows: Iterable[Stored]) -> int:
        written, remaining = 0, iter(rows)
        while some := list(islice(remaining, AT_ONCE)):
            with self._open() as connection, _transaction(connection):
                written += _write(connection, some)
        return written

    def apply(
        self,
        project: str,
        stream: str,
        marks: Mapping[str, int],
        rows: Sequence[Stored],
        *,
        expect: Mapping[str, int | None],
    ) -> int:
        with self._open() as connection, _transaction(connection):
            found = dict(connection.execute(_MARKS, (project, stream)))
            if any(found.get(name) != value for name, value in expect.items()):
                raise moved(stream)
            written = _write(connection, rows)
            connection.executemany(
                _MARK, [(project, stream, name, value) for name, value in marks.items()]
            )
        return written

    def marks(self, project: str, stream: str) -> dict[str, int]:
        with self._open() as connection:
            return dict(connection.execute(_MARKS, (project, stream)))

    def forget(self, project: str, stream: str) -> None:
        query = "DELETE FROM marks WHERE project = ? AND stream = ?"
        with self._open() as connection:
            connection.execute(query, (project, stream))

    def drop(self, project: str, field: bytes) -> int:
        query = "DELETE FROM rows WHERE field = ? AND substr(key, 1, ?) = ?"
        begin = project.encode() + b"\0"
        with self._open() as connection:
            return connection.execute(query, (field, len(begin), begin)).rowcount

    def close(self) -> None:
        while self._all:
            self._all.pop().close()
        self._local = threading.local()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            if not hasattr(self._local, "connection"):
                self._local.connection = self._connect()
            yield self._local.connection
        except sqlite3.Error as error:
            raise Unavailable(
                "online-store-unreachable",
                f"the online store cannot be used: {error}",
                context=str(self._path),
                hint="Is the disk full, or the file somebody else's? `triune features "
                "materialize` fills a new one.",
            ) from error

    def _connect(self) -> sqlite3.Connection:
        own_folder(self._path.parent)
        connection = sqlite3.connect(
            self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        for table in _TABLES:
            connection.execute(table)
        self._all.append(connection)
        return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _write(connection: sqlite3.Connection, rows: Iterable[Stored]) -> int:
    before = connection.total_changes
    connection.executemany(_PUT, ((row.key, row.field, row.row) for row in rows))
    return connection.total_changes - before
