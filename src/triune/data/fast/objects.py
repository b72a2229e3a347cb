"""DVC's store of content: ``files/md5/<2 hex>/<30 hex>``, and a folder's listing beside it.

Objects are written under a temporary name and renamed; the whole store is synced once, before
anything names what was added. Killed at any line, every object that has a name is whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from triune.core.errors import Unavailable
from triune.data.fast.index import WORKERS, Hashed, Progress, changing, silent

FOLDER_MARK = ".dir"
READ_ONLY = 0o444
_SMALL = 1 << 20
_SLICE = 200
_numbers = count()
FULL = (errno.ENOSPC, errno.EDQUOT)


def listing(hashed: Sequence[Hashed]) -> tuple[str, bytes]:
    """Key and bytes of a folder's listing, as DVC writes it."""
    ordered = sorted(hashed, key=lambda one: one.entry.name)
    rows = [{"md5": one.md5, "relpath": one.entry.name} for one in ordered]
    raw = json.dumps(rows, sort_keys=True).encode()
    return hashlib.md5(raw, usedforsecurity=False).hexdigest() + FOLDER_MARK, raw


def place(store: Path, key: str) -> str:
    """Where an object lies."""
    return f"{store}/{key[:2]}/{key[2:]}"


def holds(store: Path, keys: Iterable[str]) -> bool:
    """Whether every object is in a store."""
    return all(os.path.exists(place(store, key)) for key in keys)  # noqa: PTH110


def take(store: Path, hashed: Sequence[Hashed], *, on_progress: Progress = silent) -> int:
    """Copy files into the store that are not in it; returns how many were.

    Raises
    ------
    Refused: (``dataset-changing``) a file is not what was hashed.
    Unavailable: (``disk-full``); nothing that is there was changed.
    """
    missing: dict[str, Hashed] = {}
    for one in hashed:
        if not _there(place(store, one.md5), one.entry.size):
            missing.setdefault(one.md5, one)
    wanted = list(missing.values())
    for prefix in {one.md5[:2] for one in wanted}:
        (store / prefix).mkdir(parents=True, exist_ok=True)
    in_slices(wanted, lambda one: _take(store, one), on_progress)
    return len(wanted)


def put(store: Path, key: str, raw: bytes) -> None:
    """Write an object from memory, unless it is there. Raises `Unavailable` (``disk-full``)."""
    target = place(store, key)
    if _there(target, len(raw)):
        return
    try:
        _write(target, raw)
    except FileNotFoundError:
        (store / key[:2]).mkdir(parents=True, exist_ok=True)
        _write(target, raw)
    except OSError as error:
        if error.errno in FULL:
            raise full(store) from error
        raise


def sync(store: Path) -> None:
    """Make everything written to the store's file system durable."""
    store.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)


def copy_missing(
    source: Path, target: Path, keys: Mapping[str, int | None], *, on_progress: Progress = silent
) -> int:
    """Copy objects from one store to another that does not have them; returns how many.

    Each is hashed on the way: a damaged one is not passed on.

    Raises
    ------
    FileNotFoundError: an object is not in ``source``.
    DamagedObject: its bytes are not what its name says.
    """
    wanted = [key for key in keys if not os.path.exists(place(target, key))]  # noqa: PTH110
    for prefix in {key[:2] for key in wanted}:
        (target / prefix).mkdir(parents=True, exist_ok=True)
    in_slices(
        wanted, lambda key: copy_checked(place(source, key), place(target, key), key), on_progress
    )
    return len(wanted)


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
            while piece := os.read(reader, _SMALL):
                md5.update(piece)
                if sha256 is not None:
                    sha.update(piece)
                _write_all(writer, piece)
                if len(piece) < _SMALL:
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


def in_slices(wanted: Sequence, act: Callable, on_progress: Progress) -> None:  # type: ignore[type-arg]
    """Act on every item, in threads, some at a time; the first error ends it."""

    def some(items: Sequence) -> int:  # type: ignore[type-arg]
        for item in items:
            act(item)
        return len(items)

    slices = [wanted[at : at + _SLICE] for at in range(0, len(wanted), _SLICE)]
    done = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for number in pool.map(some, slices):
            done += number
            on_progress(done, len(wanted))


def _there(path: str, size: int) -> bool:
    """Whether an object is there in its whole length."""
    try:
        return os.stat(path).st_size == size  # noqa: PTH116
    except FileNotFoundError:
        return False


def _take(store: Path, one: Hashed) -> None:
    target = place(store, one.md5)
    try:
        if one.entry.size < _SMALL:
            _take_small(target, one)
        else:
            copy_checked(one.entry.path, target, one.md5)
    except (DamagedObject, FileNotFoundError):
        raise changing(one.entry) from None
    except OSError as error:
        if error.errno in FULL:
            raise full(store) from error
        raise


def _take_small(target: str, one: Hashed) -> None:
    descriptor = os.open(one.entry.path, os.O_RDONLY)
    try:
        raw = os.read(descriptor, _SMALL)
    finally:
        os.close(descriptor)
    if len(raw) != one.entry.size or hashlib.md5(raw, usedforsecurity=False).hexdigest() != one.md5:
        raise changing(one.entry)
    _write(target, raw)


def _write(target: str, raw: bytes) -> None:
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


def full(store: Path) -> Unavailable:
    """The error for a disk without room."""
    free = shutil.disk_usage(store if store.exists() else store.parent).free
    return Unavailable(
        "disk-full",
        f"the disk is full: {free / 1e6:.0f} MB are free",
        context=str(store),
        hint="Free some space and run it again: it goes on where it stopped.",
    )
