"""A test's running sums in a file of SQLite: units, outcomes, cells and the mark, in one step.

The file is made from the ledger and can be thrown away at any time. A transaction that has not
ended when the process is killed never was: the next reader goes on from the mark before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from triune.core.files import own_folder
from triune.delivery.abtest.facts import Told
from triune.delivery.abtest.units import Unit

FORMAT = "2"
_AT_ONCE = 500
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE units (unit TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE outcomes (
  key TEXT PRIMARY KEY, unit TEXT NOT NULL, at INTEGER NOT NULL, sequence INTEGER NOT NULL,
  numbers BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX outcomes_unit ON outcomes (unit);
CREATE TABLE later (sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, fact BLOB NOT NULL);
"""
_TAKE_OUTCOME = (
    "INSERT INTO outcomes (key, unit, at, sequence, numbers) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET unit = excluded.unit, at = excluded.at,"
    " sequence = excluded.sequence, numbers = excluded.numbers"
    " WHERE excluded.sequence > outcomes.sequence"
)

_pack = msgspec.msgpack.Encoder().encode
_unit_of = msgspec.msgpack.Decoder(Unit).decode
_numbers_of = msgspec.msgpack.Decoder(tuple[float | None, ...]).decode
_json = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder().decode


class SumsFile:
    """The file of one run of a test.

    ``identity`` says what the sums are of (the run, its declaration, its period): a file of
    something else is emptied. Without a path nothing is kept.
    """

    def __init__(self, path: Path | None, identity: str) -> None:
        if path is not None:
            own_folder(path.parent)
        self._database = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=30.0)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._identity = f"{FORMAT} {identity}"
        if self._known() != self._identity:
            with self.changing():
                self.clear()

    def _known(self) -> str | None:
        tables = self._database.execute("SELECT name FROM sqlite_master WHERE name = 'facts'")
        return self.facts("identity")[0] if tables.fetchall() else None

    def clear(self) -> None:
        """Forget everything, as a part of a change."""
        for name in ("facts", "units", "outcomes", "later"):
            self._database.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in filter(str.strip, _TABLES.split(";")):
            self._database.execute(statement)
        self.keep({"identity": self._identity})

    def changing(self) -> _Transaction:
        """All or nothing; nobody else changes meanwhile."""
        return _Transaction(self._database)

    def facts(self, *names: str) -> tuple[Any, ...]:
        """What was kept under these names, of one moment."""
        rows = dict(self._database.execute("SELECT name, value FROM facts").fetchall())
        return tuple(_any(rows[name]) if name in rows else None for name in names)

    def keep(self, facts: Mapping[str, Any]) -> None:
        """Keep these under their names."""
        self._database.executemany(
            "INSERT INTO facts VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [(name, _json(value)) for name, value in facts.items()],
        )

    def units(self, names: Iterable[str]) -> dict[str, Unit]:
        """Those of these units that are known."""
        found: dict[str, Unit] = {}
        for some in _pieces(list(names)):
            rows = self._database.execute(
                f"SELECT unit, state FROM units WHERE unit IN ({_marks(some)})",  # noqa: S608
                some,
            )
            found |= {unit: _unit_of(state) for unit, state in rows}
        return found

    def keep_units(self, units: Mapping[str, Unit]) -> None:
        """Keep these units as they are now."""
        self._database.executemany(
            "INSERT INTO units VALUES (?, ?)"
            " ON CONFLICT (unit) DO UPDATE SET state = excluded.state",
            [(name, _pack(unit)) for name, unit in units.items()],
        )

    def owners(self, keys: Iterable[str]) -> dict[str, str]:
        """The units of those of these outcomes that are known."""
        found: dict[str, str] = {}
        for some in _pieces(list(keys)):
            rows = self._database.execute(
                f"SELECT key, unit FROM outcomes WHERE key IN ({_marks(some)})",  # noqa: S608
                some,
            )
            found |= dict(rows.fetchall())
        return found

    def keep_outcomes(self, facts: Iterable[Told]) -> None:
        """Keep outcomes; one that is later in the log takes the place of an earlier one."""
        self._database.executemany(
            _TAKE_OUTCOME, [(f.key, f.unit, f.at, f.sequence, _pack(f.values)) for f in facts]
        )

    def outcomes(self, unit: str) -> list[Told]:
        """All outcomes of a unit."""
        rows = self._database.execute(
            "SELECT key, at, sequence, numbers FROM outcomes WHERE unit = ?", (unit,)
        )
        return [Told(unit, key, at, seq, _numbers_of(raw)) for key, at, seq, raw in rows]

    def put_off(self, facts: Sequence[tuple[int, int, bytes]]) -> None:
        """Set aside facts whose time has not come: sequence, time, the fact."""
        self._database.executemany("INSERT OR IGNORE INTO later VALUES (?, ?, ?)", facts)

    def due(self, now: int) -> list[tuple[int, bytes]]:
        """Take out the facts whose time has come, in the order of the log."""
        rows = self._database.execute(
            "DELETE FROM later WHERE at <= ? RETURNING sequence, fact", (now,)
        )
        return sorted(rows.fetchall())

    def put_off_until(self) -> tuple[int, int | None]:
        """How many facts wait for their time, and the last one's."""
        row = self._database.execute("SELECT COUNT(*), MAX(at) FROM later").fetchone()
        return int(row[0]), row[1]

    def close(self) -> None:
        """Give the file back."""
        self._database.close()


class _Transaction:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _pieces(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
