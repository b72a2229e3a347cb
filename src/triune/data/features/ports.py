"""What the feature store needs from others; `app` plugs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored


class Log(Protocol):
    """The part of the ledger that is used here."""

    def record(self, events: Sequence[Event]) -> int:
        """Store events; durable when it returns."""
        ...

    def select(self, query: Query | None = None) -> Iterator[Stored]:
        """Events that match."""
        ...


class Commits(Protocol):
    """The code as it stands."""

    def __call__(self) -> Event:
        """The event that tells of it; its subject is the commit's reference."""
        ...


class Located(Protocol):
    """Which dataset version a file belongs to."""

    def __call__(self, path: Path) -> str | None:
        """The reference of the recorded version; None for a file of no dataset."""
        ...


@dataclass(frozen=True, slots=True)
class Use:
    """A release that serves, and a view version (``features:...``) that it reads."""

    endpoint: str
    release: str
    view: str


class InUse(Protocol):
    """What is being served."""

    def __call__(self) -> Sequence[Use]:
        """Every view version that a live release reads."""
        ...
