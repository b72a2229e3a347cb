"""Both hashes of a file by reading it once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple

from triune.core.errors import Refused
from triune.data.fast.scan import Entry

SMALL = 1 << 20
Keep = Callable[[str, bytes], None]
"""Takes a small file's md5 and bytes while they are in memory; sent to other processes."""


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
        if entry.size < SMALL:
            raw = os.read(descriptor, entry.size + 1)
            found = hashlib.md5(raw, usedforsecurity=False).hexdigest(), _sha(raw)
        else:
            raw = None
            found = _of_large(descriptor)
        now = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (now.st_size, now.st_mtime_ns) != (entry.size, entry.mtime_ns):
        raise changing(entry)
    if keep is not None and raw is not None:
        keep(found[0], raw)
    return Hashed(entry, *found)


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _of_large(descriptor: int) -> tuple[str, str]:
    md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    while piece := os.read(descriptor, SMALL):
        md5.update(piece)
        sha.update(piece)
    return md5.hexdigest(), sha.hexdigest()


def changing(entry: Entry) -> Refused:
    """The error for a file that changes while it is added."""
    return Refused(
        "dataset-changing",
        f"{entry.name} changes while it is read",
        context=entry.path,
        hint="Wait until nothing writes to the dataset; then run it again.",
    )
