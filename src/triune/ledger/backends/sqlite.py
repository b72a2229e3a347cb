"""The ledger's database as one SQLite file: write-ahead log, every commit synced."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from triune.core.errors import TriuneError, Unavailable
from triune.core.files import locked
from triune.ledger.backends.database import Cursor, Pool, Row, refused_row

T = TypeVar("T")

BUSY_SECONDS = 30
_SET_UP = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA cache_size=-32768",
    "PRAGMA temp_store=MEMORY",
)
_FULL = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_TRUNCATE"}
_BROKEN = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}


class SqliteDatabase:
    """One file; any number of readers beside one writer, in any number of processes."""

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._url = url
        self._pool: Pool[sqlite3.Connection] = Pool(self._connect, sqlite3.Connection.close)

    @property
    def url(self) -> str:
        return self._url

    def _connect(self) -> sqlite3.Connection:
        with self._translated():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                for statement in _SET_UP:
                    connection.execute(statement)
            except BaseException:
                connection.close()
                raise
            return connection

    def write(self, work: Callable[[Cursor], T]) -> T:
        with self._translated(), self._pool.lease() as connection:
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                result = work(cursor)
                cursor.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.rollback()
                raise
            return result

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._translated(), self._pool.lease() as connection:
            return connection.execute(statement, parameters).fetchall()

    def has_table(self, name: str) -> bool:
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)))

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        with locked(self._path.with_name(self._path.name + ".migrate.lock")):
            yield

    def problems(self) -> list[str]:
        found = [str(row[0]) for row in self.rows("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def size(self) -> int:
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError) as error:
            raise refused_row(error) from error
        except sqlite3.Error as error:
            raise self._translate(error) from error
        except OSError as error:
            raise self._unreachable(str(error)) from error

    def _translate(self, error: sqlite3.Error) -> TriuneError:
        name = getattr(error, "sqlite_errorname", "")
        if name in _FULL:
            return Unavailable(
                "ledger-disk-full",
                f"the ledger cannot grow: {error} ({name})",
                context=str(self._path),
                hint="Free space on that disk; nothing of this batch was stored.",
            )
        if name in _BROKEN:
            return TriuneError(
                "ledger-damaged",
                f"the ledger's file is damaged: {error}",
                context=str(self._path),
                hint="Restore it from a backup; `triune ledger verify` tells what is wrong.",
            )
        return self._unreachable(f"{error} ({name})" if name else str(error))

    def _unreachable(self, why: str) -> Unavailable:
        return Unavailable(
            "ledger-unreachable",
            f"the ledger does not answer: {why}",
            context=str(self._path),
            hint="Check the folder's rights, and that no program holds the file locked.",
        )
