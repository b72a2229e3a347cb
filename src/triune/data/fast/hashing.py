"""Both hashes of a file by reading it once."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple, Protocol

from triune.core.errors import Refused
from triune.data.fast.scan import Entry

SMALL = 1 << 20


class Copy(Protocol):
    """A large file's bytes, written while they are read."""

    def write(self, piece: bytes) -> None:
        """The next bytes."""
        ...

    def done(self, md5: str) -> None:
        """All of them are written, and hash to this."""
        ...

    def drop(self) -> None:
        """They are not wanted after all; also after `done`, when it does nothing."""
        ...


class Keep(Protocol):
    """Takes content while it is in memory, so that nobody need read it again. It pickles."""

    def small(self, md5: str, raw: bytes) -> None:
        """A small file's md5 and bytes."""
        ...

    def large(self) -> Copy:
        """Begin with a large file."""
        ...


class Hashed(NamedTuple):
    """One file: DVC's hash of it and the ledger's (without ``sha256:``)."""

    entry: Entry
    md5: str
    sha256: str


def hash_file(entry: Entry, keep: Keep | None = None) -> Hashed:
    """Read a file once.

    Raises
    ------
    Refused: (``dataset-changing``) it changed meanwhile, or is gone.
    """
    try:
        descriptor = os.open(entry.path, os.O_RDONLY)
    except FileNotFoundError:
        raise changing(entry) from None
    try:
        if entry.size >= SMALL:
            return Hashed(entry, *_of_large(descriptor, entry, keep))
        raw = os.read(descriptor, entry.size + 1)
        found = hashlib.md5(raw, usedforsecurity=False).hexdigest(), _sha(raw)
        _check(descriptor, entry)
    finally:
        os.close(descriptor)
    if keep is not None:
        keep.small(found[0], raw)
    return Hashed(entry, *found)


def _check(descriptor: int, entry: Entry) -> None:
    """That a file is as it was found. Raises what `hash_file` does."""
    now = os.fstat(descriptor)
    if (now.st_size, now.st_mtime_ns) != (entry.size, entry.mtime_ns):
        raise changing(entry)


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _of_large(descriptor: int, entry: Entry, keep: Keep | None) -> tuple[str, str]:
    md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    copy = keep.large() if keep is not None else None
    try:
        while piece := os.read(descriptor, SMALL):
            md5.update(piece)
            sha.update(piece)
            if copy is not None:
                copy.write(piece)
        _check(descriptor, entry)
        if copy is not None:
            copy.done(md5.hexdigest())
    finally:
        if copy is not None:
            copy.drop()
    return md5.hexdigest(), sha.hexdigest()


def changing(entry: Entry) -> Refused:
    """The error for a file that changes while it is added."""
    return Refused(
        "dataset-changing",
        f"{entry.name} changes while it is read",
        context=entry.path,
        hint="Wait until nothing writes to the dataset; then run it again.",
    )
