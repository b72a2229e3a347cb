"""What models need from elsewhere; `triune.app` plugs these."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from triune.ledger.envelope import Event


class EventSink(Protocol):
    """Takes events over durably without keeping the caller waiting; the ledger is one."""

    def append(self, event: Event) -> None:
        """The event outlives this process when the call returns."""
        ...


class DatasetVersion(Protocol):
    """A dataset's content: its reference ``dataset:<name>@<12 hex>``, and where it lies."""

    @property
    def ref(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def path(self) -> Path: ...


class Datasets(Protocol):
    """Versioned data."""

    def names(self) -> tuple[str, ...]:
        """The datasets that the workspace declares."""
        ...

    def path(self, name: str) -> Path:
        """Where the workspace keeps a dataset."""
        ...

    def current(self, name: str) -> DatasetVersion:
        """The version whose bytes lie in the workspace, every one of them checked.

        Raises
        ------
        Refused: (``dataset-changed``) the bytes are not those of the recorded version.
        NotFound: the dataset has no version yet.
        """
        ...

    def checkout(self, version: str, folder: Path) -> Path:
        """Write the version (its reference) into ``folder``; returns the path of its data."""
        ...
