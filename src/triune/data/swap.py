"""Putting a whole folder in the place of another in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triune.core.files import sync_folder

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_MARK = ".building-"


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """A new empty folder beside ``target``, removed at the end whatever happens.

    Folders that a killed process left behind are removed first; the caller holds a lock.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in target.parent.glob(f".{target.name}{_MARK}*"):
        shutil.rmtree(stale)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}{_MARK}", dir=target.parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(folder: Path, target: Path) -> None:
    """Make ``folder`` (or a file) be ``target``; readers see the old content or the new.

    The old content, if any, is then found under the name ``folder``. Everything is synced
    first, so that kill -9 or a power cut leaves one of the two complete.
    """
    _sync_tree(folder)
    if target.exists():
        _exchange(folder, target)
    else:
        folder.rename(target)
    sync_folder(target.parent)


def _exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    )
    if result == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(code, os.strerror(code), str(other))
    # A file system without exchange (some network mounts): two steps are the best there is.
    aside = one.with_name(one.name + "-old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def _sync_tree(top: Path) -> None:
    for path in (*top.rglob("*"), top):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
