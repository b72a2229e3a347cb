"""One partition: its batches in files of limited size.

A batch is read only when it is durable, and has been acknowledged only then. Killed at any line,
everything acknowledged is there, in its place; a batch cut off at the end was not acknowledged,
and is put aside.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from triune.core.files import read_json, write_json
from triune.data.broker.batches import Batch, offset_at, placed, split
from triune.data.broker.producers import Producers
from triune.data.broker.segment import Segment

SEGMENT_BYTES = 64 << 20
Tell = Callable[[str], None]


class OffsetOutside(ValueError):
    """An offset that is no more, or not yet."""


class Transactional(ValueError):
    """A batch of a transaction, which there are none of here."""


class PartitionLog:
    """Appended to and read from by one thread; `sync` may be called from another."""

    def __init__(self, folder: Path, tell: Tell, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._producers = Producers()
        self._segments = self._opened(tell)
        self.start: int = (read_json(self._start_file) or {}).get("start", self._segments[0].first)
        self.start = max(self.start, self._segments[0].first)
        self.durable = self.end
        self._durable_size = self._active.size

    @property
    def _start_file(self) -> Path:
        return self._folder / "start.json"

    @property
    def _producers_file(self) -> Path:
        return self._folder / "producers.json"

    @property
    def _active(self) -> Segment:
        return self._segments[-1]

    @property
    def end(self) -> int:
        """The offset that the next record gets."""
        return self._active.following

    def _opened(self, tell: Tell) -> list[Segment]:
        found = [Segment(path) for path in sorted(self._folder.glob("*.log"))]
        if not found:
            return [Segment.new(self._folder, 0)]
        told = read_json(self._producers_file)
        known = 0  # producers of segments before this offset were written down
        if told is not None and told["first"] <= found[-1].first:
            self._producers, known = Producers.from_json(told["producers"]), told["first"]
        for segment in found:
            if segment.first < known and segment.load():
                continue
            damaged = segment.mend(self._producers.note)
            if damaged is not None:
                tell(f"{segment.path}: its end was no whole batch; it is kept in {damaged.name}")
        return found

    def append(self, raw: bytes) -> tuple[int, int]:
        """Take a producer's batches; the first one's base offset, and the offset behind the last.

        They count as kept when `durable` has reached the latter.

        Raises
        ------
        BadBatch: they are no whole batches. Nothing of them is kept.
        Transactional: one is of a transaction. Nothing of them is kept.
        OutOfOrder, OldEpoch: see `Producers.repeated`.
        OSError: the disk is full. Those before the one that did not fit are kept.
        """
        first: int | None = None
        following = self.end
        batches = split(raw)
        if not all(sent.is_plain for sent, _ in batches):
            raise Transactional
        for sent, one in batches:
            base = self._producers.repeated(sent)
            if base is None:
                base = self.end
                self._write(placed(one, base), sent.moved(base))
                following = self.end
            else:
                following = max(following, sent.moved(base).following)
            first = base if first is None else first
        assert first is not None
        return first, following

    def _write(self, raw: bytes, batch: Batch) -> None:
        if self._active.size and self._active.size + batch.size > self._segment_bytes:
            self._roll()
        self._active.append(raw, batch)
        self._producers.note(batch)

    def _roll(self) -> None:
        """Begin another file; the one before is durable by then."""
        self._active.seal()
        new = Segment.new(self._folder, self.end)
        write_json(
            self._producers_file, {"first": new.first, "producers": self._producers.to_json()}
        )
        self.durable, self._durable_size = self.end, 0
        self._segments.append(new)

    def sync(self) -> Callable[[], None]:
        """Make durable what is appended; returns what to call, in the appending thread, when it
        is: what came meanwhile is not."""
        segment, end, size = self._active, self.end, self._active.size

        def settled() -> None:
            if segment is self._active and end > self.durable:
                self.durable, self._durable_size = end, size

        segment.sync()
        return settled

    def read(self, offset: int, most: int, *, whole: bool = True) -> bytes:
        """Durable batches from the one that has ``offset`` on, about ``most`` bytes.

        Raises
        ------
        OffsetOutside: it is before `start` or behind `end`.
        """
        if not self.start <= offset <= self.end:
            raise OffsetOutside(offset)
        if offset >= self.durable or (most <= 0 and not whole):
            return b""
        for segment in self._segments:
            if offset < segment.following:
                end = self._durable_size if segment is self._active else segment.size
                return segment.read(offset, most, end, whole=whole)
        return b""

    def at_time(self, moment: int) -> int | None:
        """The first offset whose record's time is not before ``moment``, in milliseconds."""
        for segment in self._segments:
            if segment.max_time >= moment and segment.following > self.start:
                end = self._durable_size if segment is self._active else segment.size
                raw = segment.at_time(moment, end)
                if raw is not None:
                    return max(offset_at(raw, moment), self.start)
        return None

    def cut(self, before: int) -> int:
        """Forget what is before an offset; files with nothing else are deleted. The new start.

        Raises `OffsetOutside`.
        """
        if before > self.durable:
            raise OffsetOutside(before)
        if before > self.start:
            self.start = before
            write_json(self._start_file, {"start": before})
        while len(self._segments) > 1 and self._segments[0].following <= self.start:
            self._segments.pop(0).remove()
        return self.start

    def expire(self, milliseconds: int) -> None:
        """Forget files whose newest record is older than so long."""
        oldest = time.time() * 1000 - milliseconds
        if self._active.size and self._active.max_time < oldest and self.durable == self.end:
            self._roll()
        gone = self.start
        for segment in self._segments[:-1]:
            if segment.max_time >= oldest:
                break
            gone = segment.following
        self.cut(gone)
