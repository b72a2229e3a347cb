"""Putting one consistent point together in a folder, from which restic takes it.

Databases come first, each as of one moment. Everything that a row can name (artifacts, objects,
content of datasets) is only ever added and never changed, and is copied afterwards: so whatever
the databases name is there. Small files of state are copied before the databases, since they are
newer than the ledger only where the next start would mend that anyway. Topics only grow, and are
copied last: they hold whatever a stream's marks say was applied.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

from triune.core.files import copied
from triune.data.backups.model import TREE

_SQLITE = b"SQLite format 3\x00"
LEFT_OUT = (
    ".triune/run",
    ".triune/log",
    ".triune/backups",
    ".triune/backup-*",
    ".triune/stages",
    ".triune/reproduce",
    ".triune/cache",
    ".triune/engines/prometheus",
    ".triune/engines/alertmanager",
    ".triune/engines/seaweedfs",
    ".triune/engines/valkey",
    ".triune/engines/envoy",
    ".triune/engines/postgres/data",
    ".venv",
    "**/__pycache__",
)
"""What is not backed up: what is made anew, and engines whose content is dumped or copied."""
IMMUTABLE = (".triune/artifacts", ".triune/dvc-remote/files", ".dvc/cache/files", ".git/objects")
"""Content that never changes once it is there: linked, not copied, where that can be."""
GROWING = (".triune/engines/broker",)
"""What is only added to, so that its beginning is always whole; copied after the databases."""
_CHUNK = 1 << 20
_BESIDE = ("-wal", "-shm", ".db-journal")
"""Files beside a database that belong to its live state alone."""


def tree(root: Path, staging: Path, exclude: Sequence[str]) -> dict[str, dict[str, int]]:
    """The workspace's files; rows by database file and table, of those that are SQLite."""
    patterns = [*LEFT_OUT, *GROWING, *exclude]
    target = staging / TREE
    databases: list[Path] = []
    later: list[Path] = []
    for path in _files(root, patterns):
        near = path.relative_to(root)
        if is_sqlite(path):
            databases.append(near)
        elif any(near.is_relative_to(folder) for folder in IMMUTABLE):
            later.append(near)
        else:
            _copy(path, target / near)
    rows = {near.as_posix(): copy_database(root / near, target / near) for near in databases}
    for near in later:
        _link(root / near, target / near)
    for folder in IMMUTABLE:  # what came while the databases were copied may be named by them
        for path in _files(root / folder, []):
            _link(path, target / folder / path.relative_to(root / folder))
    for folder in GROWING:
        for path in _files(root / folder, exclude):
            _copy(path, target / folder / path.relative_to(root / folder))
    return rows


def is_sqlite(path: Path) -> bool:
    """Whether a file is an SQLite database."""
    if path.suffix not in (".db", ".sqlite", ".sqlite3") and "temporal" not in path.name:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def copy_database(source: Path, target: Path) -> dict[str, int]:
    """Copy a database as of one moment while others write to it; rows of each table."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        return counted(copy)


def counted(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows of each table."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
        for (name,) in names
        if not name.startswith("sqlite_")
    }


def hashes(folder: Path) -> dict[str, str]:
    """``sha256:`` of every file below a folder, by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[path.relative_to(folder).as_posix()] = f"link:{path.readlink()}"
        elif path.is_file():
            found[path.relative_to(folder).as_posix()] = f"sha256:{_hash(path)}"
    return found


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _files(top: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Files and links below a folder, without those that match; what vanishes is passed over."""
    if not top.is_dir():
        return
    for here, folders, names in os.walk(top):
        near = Path(here).relative_to(top)
        folders[:] = sorted(f for f in folders if not _matches(near / f, patterns))
        linked = [f for f in folders if (Path(here) / f).is_symlink()]
        folders[:] = [f for f in folders if f not in linked]
        for name in sorted([*names, *linked]):
            path = Path(here) / name
            wanted = not _matches(near / name, patterns) and not name.endswith(_BESIDE)
            if wanted and (path.is_symlink() or path.is_file()):
                yield path


def _matches(near: Path, patterns: Sequence[str]) -> bool:
    text = near.as_posix()
    return any(
        fnmatch(text, one) or (one.startswith("**/") and fnmatch(near.name, one[3:]))
        for one in patterns
    )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        copied(source, target)
    except FileNotFoundError:
        return  # it went while the folder was read: it was not there at the point


def _link(source: Path, target: Path) -> None:
    if target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError:
        _copy(source, target)
