"""One file of the journal: created locked, appended to by one process, drained, deleted."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path

from triune.core.errors import Unavailable
from triune.core.files import locked
from triune.core.ids import new_id
from triune.ledger import frames

SUFFIX = ".segment"
DAMAGED_SUFFIX = ".damaged"
REFUSED_SUFFIX = ".refused"
_FOLDER_LOCK = ".lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PIECE = 512 * 1024


@dataclass(slots=True, eq=False)
class Segment:
    """A segment this process holds the lock of.

    ``size`` counts the bytes of whole frames, ``drained`` those already in the store.
    """

    path: Path
    descriptor: int
    size: int
    adopted: bool = False
    drained: int = 0
    damages: list[frames.Damage] = field(default_factory=list)

    def append(self, data: bytes) -> None:
        """Add one frame with a single write; a frame that did not fit is cut away again.

        Raises
        ------
        Unavailable: (``ledger-disk-full``) the disk takes no more; nothing before is lost.
        """
        try:
            written = os.write(self.descriptor, data)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise self._full(os.strerror(error.errno)) from error
        if written != len(data):
            os.ftruncate(self.descriptor, self.size)
            raise self._full("only a part of the event fitted")
        self.size += written

    def _full(self, why: str) -> Unavailable:
        return Unavailable(
            "ledger-disk-full",
            f"the event was not taken: {why}",
            context=str(self.path.parent),
            hint="Free space on that disk; everything accepted before is safe.",
        )

    def read(self, most: int) -> tuple[list[bytes], int]:
        """Up to ``most`` bodies that are not drained yet, and where they end.

        Damage that is passed on the way is noted in ``damages``.
        """
        piece = _PIECE
        while True:
            data = os.pread(self.descriptor, min(piece, self.size - self.drained), self.drained)
            final = self.drained + len(data) >= self.size
            found = frames.scan(data, most=most)
            if found.bodies or final:
                break
            piece *= 4
        for damage in found.damages:
            place = frames.Damage(damage.start + self.drained, damage.end + self.drained)
            if place not in self.damages:  # a batch the store did not take is read again
                self.damages.append(place)
        torn = final and not found.bodies
        return found.bodies, self.size if torn else self.drained + found.end

    def retire(self) -> None:
        """Delete a drained segment, or set a damaged one aside, and drop the lock."""
        if self.damages:
            self.path.rename(self.path.with_suffix(DAMAGED_SUFFIX))
        else:
            self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Drop the lock and leave the file for whoever adopts it."""
        os.close(self.descriptor)


def create(folder: Path) -> Segment:
    """A new, empty, locked segment in ``folder``."""
    with locked(folder / _FOLDER_LOCK):
        path = folder / f"{new_id()}{SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise Unavailable(
                "ledger-disk-full",
                f"no new journal segment: {os.strerror(error.errno)}",
                context=str(folder),
                hint="Free space on that disk; everything accepted before is safe.",
            ) from error
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return Segment(path, descriptor, 0)


def names(folder: Path) -> list[Path]:
    """All segments in a folder, the oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def damaged(folder: Path) -> list[Path]:
    """Segments that were set aside because a part of them could not be read."""
    return sorted(folder.glob(f"*{DAMAGED_SUFFIX}"))


def refused(folder: Path) -> list[Path]:
    """Frames that were set aside because no store will take their event."""
    return sorted(folder.glob(f"*{REFUSED_SUFFIX}"))


def adopt(folder: Path) -> list[Segment]:
    """Lock every segment whose owner is dead, the oldest first."""
    if not names(folder):
        return []
    found = []
    with locked(folder / _FOLDER_LOCK):
        for path in names(folder):
            segment = _adopt_one(path)
            if segment is not None:
                found.append(segment)
    return found


def _adopt_one(path: Path) -> Segment | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    status = os.fstat(descriptor)
    if status.st_nlink == 0:
        os.close(descriptor)
        return None
    return Segment(path, descriptor, status.st_size, adopted=True)
