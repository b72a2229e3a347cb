"""Both hashes of a file by reading it once."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from triune.core.errors import Refused
from triune.data.fast.scan import Entry

SMALL = 1 << 20
BEHIND = 16
"""How many pieces of a large file may wait for the disk, or for its second hash."""


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
    """Both hashes; meanwhile the disk takes the copy, and another processor the second hash."""
    md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    copy = keep.large() if keep is not None else None
    try:
        with _Behind() as hashing, _Behind() as writing:
            while piece := os.read(descriptor, SMALL):
                hashing.do(sha.update, piece)
                if copy is not None:
                    writing.do(copy.write, piece)
                md5.update(piece)
        _check(descriptor, entry)
        if copy is not None:
            copy.done(md5.hexdigest())
    finally:
        if copy is not None:
            copy.drop()
    return md5.hexdigest(), sha.hexdigest()


class _Behind:
    """A thread that takes one piece after the other, never more than a few behind.

    What went wrong in it is raised by the next call, or at the end of the block.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Behind:
        return self

    def do(self, act: Callable[[bytes], None], piece: bytes) -> None:
        """Have ``act`` done with a piece, after those before it."""
        if len(self._waiting) >= BEHIND:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(act, piece))

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)


def changing(entry: Entry) -> Refused:
    """The error for a file that changes while it is added."""
    return Refused(
        "dataset-changing",
        f"{entry.name} changes while it is read",
        context=entry.path,
        hint="Wait until nothing writes to the dataset; then run it again.",
    )
