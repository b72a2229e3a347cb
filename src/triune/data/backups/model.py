"""The nouns of backups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
TREE = "workspace"
DUMPS = "databases"
OBJECTS = "objects"


@dataclass(frozen=True, slots=True)
class Repository:
    """Where backups are kept: a folder or ``s3:http://host:port/bucket/prefix``.

    ``environment`` has the object store's keys; it is never printed.
    """

    url: str
    password_file: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds, written into it last.

    Attributes
    ----------
    files: path inside the backup -> ``sha256:`` of its bytes
    rows: database -> table -> rows at the point
    last_event: id of the newest event in the ledger at the point
    """

    workspace: str
    profile: str
    at: str
    version: str
    files: Mapping[str, str]
    rows: Mapping[str, Mapping[str, int]]
    events: int
    last_event: str
    artifact: str

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup as restic and the ledger know it. ``verdict`` is its newest drill's: empty for
    one that was never drilled, `pass` or `fail`."""

    id: str
    at: datetime
    files: int
    bytes: int
    verdict: str = ""
    drilled: datetime | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What a drill or a check found.

    ``seconds`` has how long each part took; ``problems`` all that was wrong.
    """

    id: str
    verdict: str
    words: str
    seconds: Mapping[str, float]
    problems: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
