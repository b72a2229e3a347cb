"""A workspace whose settings follow ``triune.toml``: for a process that outlives an edit of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from triune.core.config import FILE_NAME, Config, load
from triune.core.errors import ConfigError
from triune.core.workspace import Workspace

Tell = Callable[[str], None]
_Stamp = tuple[int, int, int]


class Follower:
    """Reads ``triune.toml`` again when it has changed; safe from any thread.

    While the file is broken or away the last good settings stay in force, and that is told
    once for each such content.
    """

    def __init__(self, root: Path, tell: Tell) -> None:
        self._root = root
        self._tell = tell
        self._lock = threading.Lock()
        self._stamp: _Stamp | None = None
        self._good: Config | None = None

    def now(self) -> Config:
        """The settings in force.

        Raises
        ------
        ConfigError: the file is broken, and was so from the start.
        """
        with self._lock:
            stamp = self._look()
            if self._good is None or stamp != self._stamp:
                # Looked at before it is read: an edit in between is read at the next call.
                self._good = self._read(self._good)
                self._stamp = stamp
            return self._good

    def _look(self) -> _Stamp | None:
        try:
            status = (self._root / FILE_NAME).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self, before: Config | None) -> Config:
        try:
            found = load(self._root)
        except (ConfigError, OSError) as error:
            if before is None:
                raise
            self._tell(f"{FILE_NAME} is broken, going on with the settings before: {error}")
            return before
        if before is not None:
            self._tell(f"{FILE_NAME} has changed and was read anew")
        return found


@dataclass(frozen=True)
class FollowingWorkspace(Workspace):
    """A workspace whose ``config`` is always the present one."""

    follower: Follower

    @property
    def config(self) -> Config:
        return self.follower.now()


def follow(root: Path, tell: Tell) -> Workspace:
    """The workspace at ``root``, following its ``triune.toml``; ``tell`` hears of changes."""
    return FollowingWorkspace(root, Follower(root, tell))
