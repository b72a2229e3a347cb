"""What backups need from others; `app` plugs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from triune.data.backups.model import Manifest
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

Progress = Callable[[str], None]


class Log(Protocol):
    """The part of the ledger that is used here."""

    def record(self, events: Sequence[Event]) -> int:
        """Store events; durable when it returns."""
        ...

    def select(self, query: Query | None = None) -> Iterator[Stored]:
        """Events that match."""
        ...


class Snapshots(Protocol):
    """A repository of snapshots; `triune.data.backends.restic` is one."""

    def init(self) -> bool:
        """Make the repository where it is missing; returns whether it was made."""
        ...

    def save(self, folder: Path, tags: Sequence[str], on_progress: Progress) -> tuple[str, int]:
        """Take a folder in; returns the snapshot's id and the bytes that were new."""
        ...

    def all(self) -> list[tuple[str, datetime, Sequence[str]]]:
        """Every snapshot: id, time, tags; the oldest first."""
        ...

    def restore(self, identifier: str, folder: Path, on_progress: Progress) -> None:
        """Write a snapshot's files into an empty folder."""
        ...

    def check(self, on_progress: Progress) -> list[str]:
        """Read every byte of the repository; what is wrong with it, nothing when it is whole."""
        ...

    def forget(self, keep: Mapping[str, int], never: Sequence[str], *, dry_run: bool) -> list[str]:
        """Drop snapshots that the retention does not keep, and their bytes; those dropped."""
        ...

    def unlock(self) -> None:
        """Remove locks whose holder is dead."""
        ...


class WriteOnce(Protocol):
    """A store that refuses to change or delete what it was given, for a time."""

    def ensure(self) -> None:
        """Make it so, where it is not yet."""
        ...

    def recover(self, *, dry_run: bool) -> list[str]:
        """Bring back what was deleted or overwritten and is still kept; the names of it."""
        ...


class Databases(Protocol):
    """The databases that are servers of their own (PostgreSQL)."""

    def dump(self, folder: Path) -> dict[str, dict[str, int]]:
        """Write every database as of one moment; rows by database and table. Nothing where
        there are none."""
        ...

    def load(self, folder: Path) -> None:
        """Fill the databases, which are there and empty, from dumps."""
        ...

    def rows(self) -> dict[str, dict[str, int]]:
        """Rows by database and table, now."""
        ...


class Objects(Protocol):
    """The buckets of the object store."""

    def copy(self, folder: Path, on_progress: Progress) -> int:
        """Write every object into a folder, by bucket and key; how many."""
        ...

    def put(self, folder: Path) -> None:
        """Put the objects of such a folder into the store."""
        ...


class Servers(Protocol):
    """The engines of a workspace."""

    def start(self, workspace: Path) -> None:
        """Start what a restored workspace needs to be read."""
        ...

    def stop(self, workspace: Path) -> None:
        """Stop all of it."""
        ...

    def databases(self, workspace: Path) -> Databases | None:
        """Its servers' databases; None where all of them are files."""
        ...

    def objects(self, workspace: Path) -> Objects | None:
        """Its buckets; None where all objects are files."""
        ...

    def examine(self, workspace: Path, manifest: Manifest) -> dict[str, Any]:
        """Open its ledger: number of events, newest event, gaps of the newest artifact."""
        ...
