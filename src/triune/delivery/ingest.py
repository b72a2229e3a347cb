"""From the access log to the ledger: every answer once, whatever is killed when.

The place in the log and the counts are stored in the same transaction as the events. The
log is rotated here: renamed, opened anew by the gateway, read to its end, deleted.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from triune.core.errors import Unavailable
from triune.core.files import write_json
from triune.delivery import accesslog
from triune.delivery.ports import Log
from triune.ledger.envelope import Event
from triune.ledger.ports import Position

READER = "ingest"
CHUNK_BYTES = 1 << 20
ROTATE_BYTES = 64 << 20
POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
REPORT_SECONDS = 1.0
LINES = "lines"
MALFORMED = "malformed"

Tell = Callable[[str], None]


class Place(msgspec.Struct, frozen=True):
    """How far the log is read: the file by its inode, bytes into it, and the counts so far."""

    inode: int = 0
    offset: int = 0
    counts: Mapping[str, int] = {}


class Ingester:
    """Reads one access log. Only one may run at a time for a ledger.

    Parameters
    ----------
    path: the log that the gateway writes
    log: where the events go
    reopen: makes the gateway open its log anew; may raise `Unavailable`
    status: a file that always tells the counts
    """

    def __init__(
        self,
        path: Path,
        log: Log,
        reopen: Callable[[], None],
        *,
        workspace: str,
        status: Path,
        rotate_bytes: int = ROTATE_BYTES,
    ) -> None:
        self._path = path
        self._old = path.with_name(path.name + ".old")
        self._rejects = path.with_name(path.name + ".malformed")
        self._log = log
        self._reopen = reopen
        self._workspace = workspace
        self._status = status
        self._rotate_bytes = rotate_bytes
        self._reported: Place | None = None
        self._report_at = 0.0
        stored = log.position(READER)
        self._place = msgspec.json.decode(stored, type=Place) if stored else Place()

    @property
    def counts(self) -> Mapping[str, int]:
        """Lines since the first start, by what became of them."""
        return self._place.counts

    def run(self, stop: threading.Event, tell: Tell) -> None:
        """Ingest until ``stop`` is set; a ledger that is away is waited for."""
        while not stop.is_set():
            try:
                read = self.step()
                self._report()
                if read == 0:
                    stop.wait(POLL_SECONDS)
            except Unavailable as error:
                tell(f"{error.reference}: {error.message}")
                stop.wait(RETRY_SECONDS)

    def _report(self) -> None:
        """Refresh the file with the counts, at most once a second."""
        if self._place is not self._reported and time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + REPORT_SECONDS
            self._reported = self._place
            write_json(self._status, dict(self._place.counts))

    def step(self) -> int:
        """Ingest what there is, up to one chunk; returns the bytes that were read."""
        if self._old.exists():
            return self._finish_old()
        if not self._path.exists():
            return 0
        read = self._ingest(self._path, ended=False)
        if self._place.offset >= self._rotate_bytes:
            self._path.rename(self._old)
            self._reopen()
        return read

    def _finish_old(self) -> int:
        """Read the renamed log to its end; the gateway has left it once there is a new one."""
        if not self._path.exists():
            read = self._ingest(self._old, ended=False)
            if read == 0:
                self._reopen()
            return read
        fresh = self._path.stat().st_ino
        if self._place.inode != fresh:
            read = self._ingest(self._old, ended=True)
            if read:
                return read
            self._store([], Place(fresh, 0, self._place.counts))
        self._old.unlink()
        return 0

    def _ingest(self, path: Path, *, ended: bool) -> int:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            offset = self._place.offset if self._place.inode == status.st_ino else 0
            if offset > status.st_size:
                offset = 0
            file.seek(offset)
            chunk = file.read(CHUNK_BYTES)
        whole = chunk.rfind(b"\n") + 1
        if whole == 0 and (ended or len(chunk) == CHUNK_BYTES):
            whole = len(chunk)
        if whole == 0:
            return 0
        counts = Counter(self._place.counts)
        events = self._events(chunk[:whole], counts, f"{status.st_ino}:{offset}")
        self._store(events, Place(status.st_ino, offset + whole, counts))
        return whole

    def _events(self, data: bytes, counts: Counter[str], origin: str) -> list[Event]:
        events = []
        for raw in data.removesuffix(b"\n").split(b"\n"):
            line = accesslog.parse(raw)
            counts[LINES] += 1
            if line is None:
                counts[MALFORMED] += 1
                self._keep(raw, origin)
                continue
            counts[accesslog.sort(line).value] += 1
            event = accesslog.to_event(line, raw, self._workspace)
            if event is not None:
                events.append(event)
        return events

    def _keep(self, raw: bytes, origin: str) -> None:
        """A line nobody understands is put aside, with where it was."""
        with self._rejects.open("ab") as file:
            file.write(origin.encode() + b" " + raw + b"\n")

    def _store(self, events: list[Event], place: Place) -> None:
        position = Position(READER, msgspec.json.encode(place).decode())
        self._log.record(events, position=position)
        self._place = place
