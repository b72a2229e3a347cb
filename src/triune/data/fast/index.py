"""What files hashed to when they were last read, trusted while the file system says the same.

A file is trusted by size, modification time and inode, and only when it was last changed well
before it was read: one written in the same moment could change again without its time moving.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from triune.core.files import own_folder
from triune.data.fast.hashing import Hashed, Keep, hash_file
from triune.data.fast.objects import Room
from triune.data.fast.parallel import Progress, silent, spread
from triune.data.fast.scan import Entry, scan

RACY_NS = 50_000_000
_TABLE = (
    "CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, "
    "inode INTEGER, md5 TEXT, sha256 TEXT) WITHOUT ROWID"
)


@dataclass(frozen=True)
class HashIndex:
    """Hashes of the files of datasets, kept in ``folder``: one small database for each."""

    folder: Path

    def hashes(
        self,
        path: Path,
        *,
        trust: bool = True,
        keep: Keep | None = None,
        on_progress: Progress = silent,
    ) -> list[Hashed]:
        """Both hashes of every file, in order; without ``trust`` every byte is read.

        Small files that are read are given to ``keep``, so that nobody need read them again.

        Raises
        ------
        NotFound, TriuneError: what `scan` raises.
        Refused: (``dataset-changing``) a file changed while it was read.
        Unavailable: (``disk-full``) there is no room for the index.
        """
        began = time.time_ns()
        entries = scan(path)
        with Room(self.folder), closing(self._open(path)) as database:
            known = self._known(database, entries) if trust else {}
            unknown = [entry for entry in entries if entry.name not in known]
            found = spread(partial(hash_file, keep=keep), unknown, on_progress)
            fresh = {one.entry.name: one for one in found}
            self._keep(database, fresh.values(), began, len(known) + len(fresh))
        return [known.get(entry.name) or fresh[entry.name] for entry in entries]

    def _open(self, path: Path) -> sqlite3.Connection:
        own_folder(self.folder)
        key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        database = sqlite3.connect(self.folder / f"{key}.db", timeout=60, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=OFF")  # a lost index is only hashed again
        database.execute(_TABLE)
        return database

    @staticmethod
    def _known(database: sqlite3.Connection, entries: Sequence[Entry]) -> dict[str, Hashed]:
        rows = database.execute("SELECT name, size, mtime, inode, md5, sha256 FROM files")
        stored = {row[0]: row for row in rows}
        known = {}
        for entry in entries:
            row = stored.get(entry.name)
            if row is not None and row[1:4] == (entry.size, entry.mtime_ns, entry.inode):
                known[entry.name] = Hashed(entry, row[4], row[5])
        return known

    @staticmethod
    def _keep(
        database: sqlite3.Connection, fresh: Iterable[Hashed], began: int, count: int
    ) -> None:
        rows = [
            (e.name, e.size, e.mtime_ns, e.inode, one.md5, one.sha256)
            for one in fresh
            for e in [one.entry]
            if e.mtime_ns < began - RACY_NS
        ]
        if not rows:
            return
        database.execute("BEGIN")
        (before,) = database.execute("SELECT count(*) FROM files").fetchone()
        if before > 2 * count:
            database.execute("DELETE FROM files")
        database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.execute("COMMIT")
