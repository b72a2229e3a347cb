"""Files that are never half written, and locks that die with their holder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triune.core.errors import Conflict, Refused

OWNER_ONLY = 0o600
OWNER_FOLDER = 0o700
_CLONE = 0x40049409
"""``FICLONE`` of linux/fs.h (ioctl_ficlone(2))."""
_CANNOT_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS)


def write_atomic(path: Path, data: bytes | str, *, mode: int = 0o644, synced: bool = True) -> None:
    """Replace ``path`` in one step: readers see the old bytes or the new, never a mixture.

    The data is written beside the target, synced, renamed over it, and the folder is
    synced, so that after a return it survives kill -9 and a power cut. Without ``synced`` it
    survives kill -9 only: a power cut may bring back an older content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if synced:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if synced:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new names inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """`write_atomic` of the value as indented JSON."""
    write_atomic(path, json.dumps(value, indent=2, sort_keys=True) + "\n", mode=mode)


def read_json(path: Path) -> Any:
    """The JSON in a file, or None when the file does not exist.

    Raises
    ------
    Refused: ``file-broken``, the file holds something else.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise Refused(
            "file-broken",
            f"a file that should hold JSON does not: {error}",
            context=str(path),
            hint="Restore it from a backup, or move it away to begin without it.",
        ) from error


def secret(path: Path, *, length: int = 32) -> str:
    """The secret kept in ``path``, generated at first use and readable by the owner only."""
    if not path.exists():
        with locked(path.with_name(path.name + ".lock")):
            if not path.exists():
                write_atomic(path, secrets.token_urlsafe(length), mode=OWNER_ONLY)
    return path.read_text().strip()


def own_folder(path: Path) -> Path:
    """Make the folder, or tighten it where it is ours, so that nobody else can look inside."""
    path.mkdir(parents=True, exist_ok=True, mode=OWNER_FOLDER)
    status = path.stat()
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & ~OWNER_FOLDER:
        path.chmod(OWNER_FOLDER)
    return path


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel drops it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise Conflict(
                "already-running",
                "another process holds the lock",
                context=str(path),
                hint="Wait for it to end, or stop it.",
            ) from error
        yield
    finally:
        os.close(descriptor)


def inside(root: Path, name: str) -> Path:
    """``root / name``, refused when it would leave ``root``."""
    base = root.resolve()
    target = (base / name).resolve()
    if target != base and base not in target.parents:
        raise Refused(
            "path-leaves-folder",
            f"{name!r} leads out of its folder",
            context=str(root),
            hint="Give a name inside the folder.",
        )
    return target


def copied(source: Path, target: Path) -> None:
    """Copy a file or link with its times and mode.

    On btrfs, XFS and ZFS the copy shares its blocks with the source until one of them is written:
    it takes no time and no space, and is of one moment even while others write. Elsewhere bytes
    are copied.
    """
    if source.is_symlink() or not _shares_blocks(source, target):
        shutil.copy2(source, target, follow_symlinks=False)
    else:
        shutil.copystat(source, target)


def _shares_blocks(source: Path, target: Path) -> bool:
    try:
        with source.open("rb") as old, target.open("wb") as new:
            fcntl.ioctl(new.fileno(), _CLONE, old.fileno())
    except OSError as error:
        if error.errno in _CANNOT_CLONE:
            return False
        raise
    return True
