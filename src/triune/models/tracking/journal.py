"""A run's journal as a file: one writer that holds its lock, any number of readers."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triune.core.errors import Unavailable
from triune.core.files import sync_folder
from triune.models.tracking.frames import Begin, Frame, decode, encode

FILE_NAME = "journal"


class JournalWriter:
    """Appends frames; the kernel releases its lock when the last process that holds it dies."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path, begin: Begin) -> JournalWriter:
        """Make ``folder`` with a journal that begins with ``begin``; it appears whole.

        Nobody can see the journal before it is locked, so no reader takes it for dead.
        """
        hidden = folder.with_name("." + folder.name)
        hidden.mkdir(parents=True)
        descriptor = _open(hidden / FILE_NAME, os.O_CREAT | os.O_EXCL)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        writer = cls(folder / FILE_NAME, descriptor)
        writer.append(begin)
        hidden.rename(folder)
        sync_folder(folder.parent)
        return writer

    def append(self, frame: Frame) -> None:
        """Write one frame with one ``write(2)``; afterwards it outlives this process.

        Raises
        ------
        Unavailable: (``run-journal-full``) the disk took none or only part of it.
        """
        data = encode(frame)
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
                raise
            written = 0
        if written != len(data):
            raise Unavailable(
                "run-journal-full",
                "the disk did not take a run's record",
                context=str(self.path),
                hint="Free some space below .triune/ and run again.",
            )

    def sync(self) -> None:
        """Everything appended so far outlives a power cut too."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def _open(path: Path, flags: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o644)


def read(path: Path, offset: int = 0) -> Iterator[tuple[Frame, int]]:
    """The whole frames behind ``offset``, each with the offset just behind it."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    for frame, end in decode(data):
        yield frame, offset + end


def is_alive(path: Path) -> bool:
    """Whether a process still holds the journal open for writing."""
    with taken_over(path) as writer:
        return writer is None


@contextmanager
def taken_over(path: Path) -> Iterator[JournalWriter | None]:
    """The journal of a process that died, to be written on; None while its writer lives."""
    descriptor = _open(path, 0)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield JournalWriter(path, descriptor)
    finally:
        os.close(descriptor)
