"""A file that several processes append lines to, bounded in size, that may be taken away.

Whoever reads it may rename it to begin a new one; the next lines go to the new file. A write
of whole lines to a file opened with ``O_APPEND`` is not mixed with another's: the kernel holds
the file's lock for the length of the call, on every local file system.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from triune.core.files import OWNER_ONLY

LIMIT_BYTES = 64 << 20
"""Where a file ends that nobody takes away. With several writers it can be passed by one
`BATCH_BYTES` for each."""
BATCH_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some lines: written, no room below the limit, or refused by the disk."""

    written: int = 0
    full: int = 0
    failed: int = 0


class SharedFile:
    """One process's way to append to the file; not to be shared between threads."""

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit = limit_bytes
        self._descriptor = -1

    def append(self, lines: Sequence[bytes]) -> Outcome:
        """Append lines with one write, unsynced; those without room are left out.

        Each ends in a newline. A disk that fills up in the middle of a line leaves a torn one,
        which the next is written behind; readers must look for the last whole object of a line.
        """
        try:
            descriptor = self._open()
            fitting = _fitting(lines, self._limit - os.fstat(descriptor).st_size)
            taken = os.write(descriptor, b"".join(fitting)) if fitting else 0
        except OSError:
            return Outcome(failed=len(lines))
        written = len(_fitting(fitting, taken))
        return Outcome(written, len(lines) - len(fitting), len(fitting) - written)

    def _open(self) -> int:
        """The file now under the name, opened anew when it is another one than before."""
        if self._descriptor >= 0:
            mine = os.fstat(self._descriptor)
            try:
                now = self._path.stat()
            except FileNotFoundError:
                now = None
            if now is not None and (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino):
                return self._descriptor
            os.close(self._descriptor)
            self._descriptor = -1
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, OWNER_ONLY)
        return self._descriptor


def _fitting(lines: Sequence[bytes], room: int) -> Sequence[bytes]:
    """The first lines that need no more bytes than there are."""
    for place, line in enumerate(lines):
        room -= len(line)
        if room < 0:
            return lines[:place]
    return lines
