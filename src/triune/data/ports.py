"""What versioning needs from others; `app` plugs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from triune.data.fast.hashing import Keep
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored


@dataclass(frozen=True, slots=True)
class Tracked:
    """What the file beside a dataset says: the content's key, and the file."""

    content: str
    file: Path


class ContentStore(Protocol):
    """Content by its key: a local cache, and a remote behind it."""

    def add(self, path: Path) -> Tracked:
        """Put the content of a file or folder into the cache and write the file beside it.

        Idempotent. Raises `TriuneError` (``dvc-failed``) with what DVC said.
        """
        ...

    @property
    def keep(self) -> Keep | None:
        """Puts content into the cache while it is in memory; raises `Unavailable`
        (``disk-full``)."""
        ...

    def tracked(self, path: Path) -> Tracked | None:
        """What the file beside ``path`` says; None when there is none."""
        ...

    def push(self, content: str) -> None:
        """Copy content from the cache to the remote; returns when all of it is there.

        Raises `Unavailable` (``remote-unreachable``).
        """
        ...

    def pushed(self, content: str) -> bool:
        """Whether all of the content is known to be in the remote; cheap, may say no."""
        ...

    def objects(self, content: str) -> dict[str, Path]:
        """The file of each name inside the content, fetched from the remote if need be.

        A single file has the empty name. Raises `NotFound` (``dataset-content-missing``),
        `Refused` (``artifact-corrupt``) when the listing of a folder is damaged.
        """
        ...


class Log(Protocol):
    """The part of the ledger that is used here."""

    def record(self, events: Sequence[Event]) -> int:
        """Store events; durable when it returns."""
        ...

    def select(self, query: Query | None = None) -> Iterator[Stored]:
        """Events that match."""
        ...
