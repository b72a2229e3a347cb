"""The append path: events wait here, on disk, until the store has them.

`Journal.append` is one ``write`` to a file that this process alone appends to. The kernel
holds the bytes from then on, so they survive kill -9 of any process; there is no sync, so a
power cut may lose what the store did not have yet. Use `Ledger.record` where that matters.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

import msgspec

from triune.core.errors import Conflict, Refused, Unavailable
from triune.core.files import OWNER_ONLY, write_atomic
from triune.core.ids import new_id
from triune.ledger import segment
from triune.ledger.envelope import Event
from triune.ledger.frames import frame
from triune.ledger.segment import Segment

SEGMENT_BYTES = 8 * 1024 * 1024
LIMIT_BYTES = 1024 * 1024 * 1024

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Event).decode
_live: weakref.WeakSet[Journal] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Batch:
    """Events at the head of the journal; ``end`` is where they end in their segment."""

    segment: Segment
    bodies: list[bytes]
    end: int


class Journal:
    """A folder of segments: one is written by this process, others wait to be drained.

    Thread-safe. After a fork the child starts with a segment of its own; what the parent
    appended stays the parent's.
    """

    def __init__(
        self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._limit_bytes = limit_bytes
        self._reset()
        _live.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._current: Segment | None = None
        self._waiting: list[Segment] = []
        self._foreign_bytes = 0
        self._accepted = 0
        self._stored = 0
        self._closed = False

    def append(self, event: Event) -> None:
        """Take one event; when it returns, the event survives kill -9 of any process.

        Raises
        ------
        Refused: ``event-invalid``, ``event-too-large``.
        Unavailable: ``ledger-disk-full``, or ``journal-full`` when the store has been away
            for so long that the journal reached its limit. Nothing was taken.
        """
        data = frame(encode(event))
        with self._lock:
            self._room(len(data)).append(data)
            self._accepted += 1

    def _room(self, length: int) -> Segment:
        if self._closed:
            raise Conflict(
                "ledger-closed",
                "the ledger was closed",
                context=str(self.folder),
                hint="Open it again.",
            )
        if self._used() + length > self._limit_bytes:
            raise Unavailable(
                "journal-full",
                f"{self._limit_bytes} bytes of events wait for the store already",
                context=str(self.folder),
                hint="Start the ledger's database (`triune up`); the journal empties by itself.",
            )
        current = self._current
        if current is not None and current.size + length <= self._segment_bytes:
            return current
        if current is None:
            self.folder.mkdir(parents=True, exist_ok=True)
        fresh = segment.create(self.folder)
        if current is not None:
            self._waiting.append(current)
        self._current = fresh
        return fresh

    def _used(self) -> int:
        own = self._current.size - self._current.drained if self._current else 0
        return own + self._foreign_bytes + sum(s.size for s in self._waiting)

    @property
    def accepted(self) -> int:
        """How many events this process has appended."""
        return self._accepted

    def settled(self, accepted: int) -> bool:
        """Whether the first ``accepted`` events, and all that was adopted, are in the store."""
        with self._lock:
            adopted = any(s.adopted for s in self._waiting)
            return self._stored >= accepted and not adopted

    def adopt(self) -> int:
        """Take over the segments of dead processes; returns how many."""
        found = segment.adopt(self.folder)
        living = 0
        with self._lock:
            self._waiting[:0] = found
            mine = {s.path for s in self._waiting} | {self._current.path if self._current else None}
            for path in segment.names(self.folder):
                if path not in mine:
                    living += _size(path)
            self._foreign_bytes = living
        return len(found)

    def head(self, most: int) -> Batch | None:
        """The oldest events that are not in the store yet; None when there are none.

        For one consumer at a time.
        """
        while True:
            with self._lock:
                source = self._waiting[0] if self._waiting else self._current
                if source is None or (source is self._current and source.drained == source.size):
                    return None
            if source.drained < source.size:
                bodies, end = source.read(most)
                if bodies:
                    return Batch(source, bodies, end)
                self._advance(source, end, 0)
            else:
                self._advance(source, source.size, 0)

    def advance(self, batch: Batch) -> None:
        """The batch is in the store: go on behind it, delete what is drained."""
        self._advance(batch.segment, batch.end, len(batch.bodies))

    def _advance(self, source: Segment, end: int, count: int) -> None:
        with self._lock:
            source.drained = end
            if not source.adopted:
                self._stored += count
            done = source is not self._current and source.drained >= source.size
            if done:
                self._waiting.remove(source)
        if done:
            for damage in source.damages:
                _log.error(
                    "journal %s: bytes %d to %d cannot be read; kept as *%s",
                    source.path,
                    damage.start,
                    damage.end,
                    segment.DAMAGED_SUFFIX,
                )
            source.retire()

    def set_aside(self, body: bytes, why: str) -> None:
        """Keep an event that no store will ever take in a file of its own, so that the others
        can pass."""
        path = self.folder / f"{new_id()}{segment.REFUSED_SUFFIX}"
        write_atomic(path, frame(body), mode=OWNER_ONLY)
        _log.error("an event was refused by the store and is kept as %s: %s", path, why)

    def close(self) -> None:
        """Let go of every segment; what is not drained is left for the next process."""
        with self._lock:
            self._closed = True
            current, self._current = self._current, None
            waiting, self._waiting = self._waiting, []
        if current is not None and current.drained >= current.size:
            current.retire()
        elif current is not None:
            current.release()
        for other in waiting:
            other.release()

    def forget(self) -> None:
        """In a forked child: close what belongs to the parent and begin anew."""
        inherited = [*self._waiting, *([self._current] if self._current else [])]
        for one in inherited:
            os.close(one.descriptor)
        self._reset()


def encode(event: Event) -> bytes:
    """The event as MessagePack; refused (``event-invalid``) unless it holds JSON values only."""
    try:
        return _encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(
            "event-invalid",
            f"the event cannot be written: {error}",
            context=f"{event.kind} {event.id}",
            hint="Payloads hold text, numbers, booleans, lists and tables only.",
        ) from error


def decode(body: bytes) -> Event:
    """An event out of a frame; refused (``event-invalid``) when the bytes are no event."""
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise Refused("event-invalid", f"the frame holds no event: {error}") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _after_fork() -> None:
    for journal in list(_live):
        journal.forget()


os.register_at_fork(after_in_child=_after_fork)
