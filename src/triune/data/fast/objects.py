"""DVC's store of content: ``files/md5/<2 hex>/<30 hex>``, and a folder's listing beside it.

Objects are written under a temporary name and renamed; the whole store is synced once, before
anything names what was added. Killed at any line, every object that has a name is whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from triune.core.errors import Unavailable

FOLDER_MARK = ".dir"
READ_ONLY = 0o444
_SMALL = 1 << 20
_WRITE_BACK = 32 << 20
_SYNC_FILE_RANGE_WRITE = 2
_numbers = count()
_FULL = (errno.ENOSPC, errno.EDQUOT)


def place(store: Path, key: str) -> str:
    """Where an object lies."""
    return f"{store}/{key[:2]}/{key[2:]}"


def holds(store: Path, keys: Iterable[str]) -> bool:
    """Whether every object is in a store."""
    return all(os.path.exists(place(store, key)) for key in keys)  # noqa: PTH110


def put(store: Path, key: str, raw: bytes) -> None:
    """Write an object from memory, unless it is there. Raises `Unavailable` (``disk-full``)."""
    target = place(store, key)
    if there(target, len(raw)):
        return
    with Room(store):
        try:
            write(target, raw)
        except FileNotFoundError:
            (store / key[:2]).mkdir(parents=True, exist_ok=True)
            write(target, raw)


@dataclass(frozen=True, slots=True)
class Keeper:
    """Puts content into a store while somebody else reads it."""

    store: Path

    def small(self, md5: str, raw: bytes) -> None:
        """As `put`."""
        put(self.store, md5, raw)

    def large(self) -> Growing:
        """An object whose name is known at its end. Raises `Unavailable` (``disk-full``)."""
        return Growing(self.store)


class Growing:
    """An object that is written piece by piece; the disk is kept busy meanwhile.

    All of it raises `Unavailable` (``disk-full``).
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        folder = store / "00"
        self._hidden = _hidden(f"{folder}/growing")
        with Room(store):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READ_ONLY)
        self._size = self._begun = 0

    def write(self, piece: bytes) -> None:
        """The next bytes."""
        with Room(self._store):
            _write_all(self._file, piece)
        self._size += len(piece)
        if self._size - self._begun >= _WRITE_BACK:
            _start_writing(self._file, self._begun, self._size - self._begun)
            self._begun = self._size

    def done(self, md5: str) -> None:
        """Give it its name, unless it is there."""
        target = place(self._store, md5)
        if not there(target, self._size):
            with Room(self._store):
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                os.rename(self._hidden, target)  # noqa: PTH104

    def drop(self) -> None:
        """Close it; without a name it is gone."""
        os.close(self._file)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._hidden)  # noqa: PTH108


def _start_writing(descriptor: int, at: int, size: int) -> None:
    """Ask the kernel to begin writing to the disk; only a hint."""
    wide = ctypes.c_int64
    ctypes.CDLL(None).sync_file_range(descriptor, wide(at), wide(size), _SYNC_FILE_RANGE_WRITE)


def sync(store: Path) -> None:
    """Make everything written to the store's file system durable."""
    store.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)


class DamagedObject(ValueError):
    """An object whose bytes are not what its name says."""


def copy_checked(
    source: str, target: str, key: str, *, sha256: str | None = None, mode: int = READ_ONLY
) -> None:
    """Copy a file, and give it its name only when its bytes hash to ``key`` (and ``sha256``).

    Raises
    ------
    DamagedObject: they do not; nothing is left.
    """
    md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    hidden = _hidden(target)
    reader = os.open(source, os.O_RDONLY)
    try:
        writer = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            # A buffer no larger than the file: a large one is mapped and unmapped at every call.
            most = min(_SMALL, os.fstat(reader).st_size + 1)
            while piece := os.read(reader, most):
                md5.update(piece)
                if sha256 is not None:
                    sha.update(piece)
                _write_all(writer, piece)
                if len(piece) < most:
                    break
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden)  # noqa: PTH108
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)
    good = md5.hexdigest() == key.removesuffix(FOLDER_MARK)
    if not good or (sha256 is not None and sha.hexdigest() != sha256):
        os.unlink(hidden)  # noqa: PTH108
        raise DamagedObject(source)
    os.rename(hidden, target)  # noqa: PTH104


def there(path: str, size: int) -> bool:
    """Whether an object is there in its whole length."""
    try:
        return os.stat(path).st_size == size  # noqa: PTH116
    except FileNotFoundError:
        return False


def write(target: str, raw: bytes) -> None:
    """Give a small object its name when it is whole."""
    hidden = _hidden(target)
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READ_ONLY)
    try:
        _write_all(descriptor, raw)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(hidden)  # noqa: PTH108
        raise
    finally:
        os.close(descriptor)
    os.rename(hidden, target)  # noqa: PTH104


def _hidden(target: str) -> str:
    """A temporary name in the same folder, which DVC's own garbage collection passes over."""
    return f"{target}.{os.getpid()}-{threading.get_ident() % 100_000}-{next(_numbers)}.tmp"


def _write_all(descriptor: int, raw: bytes) -> None:
    written = os.write(descriptor, raw)
    while written < len(raw):
        written += os.write(descriptor, raw[written:])


class Room:
    """Tells of a disk without room, met within it, by our own error.

    A class, not a generator: it is entered once for every small file.
    """

    __slots__ = ("_store",)

    def __init__(self, store: Path) -> None:
        self._store = store

    def __enter__(self) -> None:
        """Nothing is prepared."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raises `Unavailable` (``disk-full``)."""
        met = isinstance(error, OSError) and error.errno in _FULL
        if met or getattr(error, "sqlite_errorname", None) == "SQLITE_FULL":
            raise _full(self._store) from error


def _full(store: Path) -> Unavailable:
    free = shutil.disk_usage(store if store.exists() else store.parent).free
    return Unavailable(
        "disk-full",
        f"the disk is full: {free / 1e6:.0f} MB are free",
        context=str(store),
        hint="Free some space and run it again: it goes on where it stopped.",
    )
