"""What was seen, and the rules by which an opening counts as a read. Pure but for `stat`."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from enum import StrEnum

_SYSTEM = ("/proc/", "/sys/", "/dev/")


class Capture(StrEnum):
    """How the reads were seen."""

    KERNEL = "kernel"
    """Every opening by the process and its children."""
    PYTHON = "python"
    """Only what Python code opened: libraries in C, and children, were not seen."""


@dataclass(frozen=True, slots=True)
class FileRead:
    """A file as it was when it was first opened for reading; ``mtime_ns`` since 1970."""

    path: str
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Seen:
    """Everything a process and its children opened, by resolved path.

    Attributes
    ----------
    files: regular files read that they had not written themselves before
    own: files they made or emptied
    connections: ``tcp://host:port`` and ``unix:path`` of peers that are not among themselves
    lost: calls whose arguments could not be read, so that something may be missing
    """

    capture: Capture = Capture.KERNEL
    files: dict[str, FileRead] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    lost: int = 0
    _known: set[tuple[str, int]] = field(default_factory=set)

    def opened(self, path: str, flags: int) -> None:
        """One opening of an absolute path, seen before the kernel does it."""
        if (path, flags) in self._known or (path.startswith(_SYSTEM) and not _is_shared(path)):
            return
        self._known.add((path, flags))
        real = os.path.realpath(path)
        facts = _facts(real)
        if flags & os.O_ACCMODE == os.O_RDONLY:
            self._read(real, facts)
        elif facts is None or flags & os.O_TRUNC:
            self.own.add(real)
        elif flags & os.O_ACCMODE == os.O_RDWR:
            self._read(real, facts)

    def moved(self, old: str, new: str) -> None:
        """A renaming or a hard link: what was their own still is, under the new name."""
        source, target = os.path.realpath(old), os.path.realpath(new)
        if old.startswith(_SYSTEM) and not _is_shared(old):  # a file without a name is given one
            self.own.add(target)
            return
        below = source + "/"
        theirs = [path for path in self.own if path == source or path.startswith(below)]
        self.own.update(target + path[len(source) :] for path in theirs)
        if source not in self.own:  # read under the name it had; the new one is of their making
            self._read(source, _facts(source))
            self.own.add(target)

    def _read(self, path: str, facts: os.stat_result | None) -> None:
        if facts is None or not stat.S_ISREG(facts.st_mode):
            return
        if path not in self.own and path not in self.files:
            self.files[path] = FileRead(path, facts.st_size, facts.st_mtime_ns)


def _is_shared(path: str) -> bool:
    """Whether it is an ordinary file, in memory."""
    return path.startswith("/dev/shm/")


def _facts(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None
