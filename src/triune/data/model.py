"""The nouns of dataset versions, and the decisions about them that need no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from triune.core.ids import digest_bytes, reference

KIND = "dataset"
SHORT = 12


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file of a dataset; ``rows`` and ``columns`` where its format tells them."""

    name: str
    digest: str
    bytes: int
    rows: int | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """The content of a dataset at one time.

    Attributes
    ----------
    ref: the lineage reference ``dataset:<name>@<12 hex of the digest>``
    digest: ``sha256:`` of the sorted lines ``<file digest>  <relative path>``
    path: where the workspace keeps the dataset; its bytes may have moved on since
    files: every file, or none when there are a thousand or more (``count`` has the number)
    content: the content's key in DVC: an md5, with ``.dir`` behind it for a folder
    dvc_file: the file that plain ``dvc`` reads
    """

    name: str
    ref: str
    digest: str
    path: Path
    count: int
    bytes: int
    content: str
    dvc_file: Path
    at: datetime
    files: tuple[FileFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Remote:
    """Where content is pushed to: a folder, or a prefix in an S3 bucket."""

    url: str
    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    region: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder, when the remote is one."""
        return None if "://" in self.url else Path(self.url)


class State(StrEnum):
    """How a dataset's bytes stand to its recorded version."""

    ABSENT = "absent"
    UNVERSIONED = "unversioned"
    CHANGED = "changed"
    CURRENT = "current"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    State.ABSENT: "Nothing is there: build it, or check a version out.",
    State.UNVERSIONED: "It is there, and no version of it was ever recorded.",
    State.CHANGED: "Its bytes differ from the version that was recorded.",
    State.CURRENT: "Its bytes are those of the recorded version.",
}


@dataclass(frozen=True, slots=True)
class Status:
    """A dataset as it stands: its state, the version recorded, and what differs."""

    name: str
    path: Path
    state: State
    version: DatasetVersion | None
    changes: tuple[str, ...] = ()


def content_digest(digests: Mapping[str, str]) -> str:
    """One digest of all files, the same as `triune.core.ids.digest_tree` gives."""
    lines = [f"{digests[name]}  {name}\n" for name in sorted(digests, key=_like_a_path)]
    return digest_bytes("".join(lines).encode())


def _like_a_path(name: str) -> tuple[str, ...]:
    return Path(name).parts


def ref_of(name: str, digest: str) -> str:
    """``dataset:<name>@<12 hex>``."""
    return reference(KIND, f"{name}@{digest.removeprefix('sha256:')[:SHORT]}")


def differences(recorded: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, ...]:
    """What differs between two listings of name and digest, one sentence for each file."""
    return tuple(_differences(recorded, found))


def _differences(recorded: Mapping[str, str], found: Mapping[str, str]) -> Iterable[str]:
    for name in sorted({*recorded, *found}):
        if name not in found:
            yield f"{name} is missing"
        elif name not in recorded:
            yield f"{name} is new"
        elif recorded[name] != found[name]:
            yield f"{name} has other bytes"
