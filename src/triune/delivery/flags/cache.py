"""The last flags that were good, on disk: what a process starts with when nobody answers it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from triune.core.errors import ConfigError, Refused
from triune.core.files import OWNER_ONLY, locked, write_atomic
from triune.delivery.flags import document, snapshot
from triune.delivery.flags.snapshot import Snapshot


def cache_file(state: Path, name: str) -> Path:
    """The file of the server (``server``) or of a workspace's processes (``clients``), below the
    workspace's folder of state."""
    return state / "flags" / f"{name}.json"


class Cache:
    """One file: a line with the checksum, then the flags in flagd's format.

    Any number of processes may share it. Replaced in one step and believed only if the checksum is
    right and the flags have no mistake: a write that kill -9 or a power cut broke is never used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._broken_seen = False

    def keep(self, good: Snapshot) -> None:
        """Make the file these flags; nothing is written when it is them already.

        Raises
        ------
        Conflict: (``already-running``) another process writes it just now: most probably these.
        OSError: the disk does not take it; the file is as it was.
        """
        if self._broken_seen or self._version() != good.version:
            with locked(self._path.with_suffix(".lock"), wait=False):
                self._write(good)

    def _write(self, good: Snapshot) -> None:
        text = document.text_of(good.flags)
        digest = hashlib.sha256(text.encode()).hexdigest()
        now = datetime.now(UTC).isoformat()
        head = json.dumps({"version": good.version, "sha256": digest, "saved": now})
        write_atomic(self._path, f"{head}\n{text}\n", mode=OWNER_ONLY, synced=False)
        self._broken_seen = False

    def _version(self) -> str:
        try:
            with self._path.open("rb") as file:
                return str(json.loads(file.readline(500))["version"])
        except (OSError, ValueError, TypeError, KeyError):
            return ""

    def load(self) -> Snapshot | None:
        """The flags in the file; None when there is no file.

        Raises
        ------
        Refused: (``flag-cache-broken``) it is not what was written, or cannot be read.
        """
        try:
            head, _, text = self._path.read_text(encoding="utf-8").partition("\n")
            wanted = json.loads(head)["sha256"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise self._broken(f"{type(error).__name__}: {error}") from None
        text = text.rstrip("\n")
        if hashlib.sha256(text.encode()).hexdigest() != wanted:
            raise self._broken("its checksum is wrong")
        try:
            return snapshot.read(text, source=str(self._path))
        except ConfigError as error:
            raise self._broken(error.message) from None

    def _broken(self, what: str) -> Refused:
        self._broken_seen = True
        return Refused(
            "flag-cache-broken",
            f"the flags kept on disk are not used: {what}",
            context=str(self._path),
            hint="Nothing is to be done: it is written anew when flags come from the flag server.",
        )
