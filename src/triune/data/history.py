"""Dataset versions as the ledger remembers them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import NotFound
from triune.data import events
from triune.data.model import KIND, DatasetVersion
from triune.data.ports import Log
from triune.ledger.ports import Query


@dataclass(frozen=True)
class History:
    """The versions recorded in one workspace."""

    root: Path
    ledger: Log

    def of(self, name: str) -> Iterator[DatasetVersion]:
        """Every version of a dataset, the newest first."""
        for stored in self.ledger.select(Query(kind=events.VERSIONED, newest_first=True)):
            if stored.event.payload["name"] == name:
                yield events.version_of(stored.event, self.root)

    def with_digest(self, name: str, digest: str) -> DatasetVersion | None:
        """The version with exactly these bytes."""
        return next((version for version in self.of(name) if version.digest == digest), None)

    def find(self, name: str, short: str) -> DatasetVersion:
        """The newest version whose digest begins with ``short``.

        Raises
        ------
        NotFound: ``dataset-version-unknown``.
        """
        for version in self.of(name):
            if version.digest.removeprefix("sha256:").startswith(short):
                return version
        raise NotFound(
            "dataset-version-unknown",
            f"no version {name}@{short} was recorded",
            hint=f"`triune data log {name}` lists them.",
        )


def split_reference(text: str) -> tuple[str, str]:
    """Name and (possibly empty) digest in ``dataset:name@digest``, ``name@digest``, ``name``."""
    name, _, digest = text.removeprefix(f"{KIND}:").partition("@")
    return name, digest.removeprefix("sha256:")
