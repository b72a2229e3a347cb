"""One file of a partition: batches one after another, and where some of them begin."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

from triune.core.files import read_json, sync_folder, write_json
from triune.data.broker.batches import HEADER, BadBatch, Batch, checked, head

EVERY_BYTES = 16_384
_NAMES = 20


class Segment:
    """A file named by its first offset. Its last batch may be cut off by a crash: see `mend`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first = int(path.stem)
        self.following = self.first
        self.size = 0
        self.max_time = -1
        self._offsets, self._places, self._times = array("q"), array("q"), array("q")
        self._file = path.open("r+b", buffering=0)

    @classmethod
    def new(cls, folder: Path, first: int) -> Segment:
        """An empty one."""
        path = folder / f"{first:0{_NAMES}}.log"
        path.touch()
        sync_folder(folder)
        return cls(path)

    @property
    def _sealed(self) -> Path:
        return self.path.with_suffix(".index")

    def load(self) -> bool:
        """What `seal` wrote down; False where it did not, or the file is another."""
        told = read_json(self._sealed)
        if told is None or told["size"] != self.path.stat().st_size:
            return False
        self.following, self.size, self.max_time = told["following"], told["size"], told["time"]
        self._offsets = array("q", told["offsets"])
        self._places = array("q", told["places"])
        self._times = array("q", told["times"])
        return True

    def seal(self) -> None:
        """Nothing is appended any more: make it durable, and opening it cheap."""
        self.sync()
        write_json(
            self._sealed,
            {
                "following": self.following,
                "size": self.size,
                "time": self.max_time,
                "offsets": list(self._offsets),
                "places": list(self._places),
                "times": list(self._times),
            },
        )

    def mend(self, look: Callable[[Batch], None]) -> Path | None:
        """Read all of it, check it, and cut off what is no whole batch; that is kept beside it,
        and returned. ``look`` sees every batch."""
        raw = self.path.read_bytes()
        while self.size < len(raw):
            try:
                batch = checked(raw, self.size)
            except BadBatch:
                return self._cut(raw)
            look(batch)
            self._note(batch)
        return None

    def _cut(self, raw: bytes) -> Path:
        kept = self.path.with_suffix(f".damaged-{self.size}")
        kept.write_bytes(raw[self.size :])
        self._file.truncate(self.size)
        self.sync()
        return kept

    def append(self, raw: bytes, batch: Batch) -> None:
        """Write one batch behind the others. Raises OSError; the file is then as it was."""
        try:
            self._file.seek(self.size)
            written = self._file.write(raw)
            while written < len(raw):
                written += self._file.write(raw[written:])
        except OSError:
            self._file.truncate(self.size)
            raise
        self._note(batch)

    def _note(self, batch: Batch) -> None:
        if not self._places or self.size - self._places[-1] >= EVERY_BYTES:
            self._offsets.append(batch.base)
            self._places.append(self.size)
            self._times.append(batch.max_time)
        else:
            self._times[-1] = max(self._times[-1], batch.max_time)
        self.size += batch.size
        self.following = batch.following
        self.max_time = max(self.max_time, batch.max_time)

    def sync(self) -> None:
        """Make what was written durable; may be called from another thread."""
        os.fdatasync(self._file.fileno())

    def read(self, offset: int, most: int, end: int, *, whole: bool) -> bytes:
        """Bytes from the batch that has ``offset`` on, up to the place ``end``.

        The last batch may be cut off by ``most``; with ``whole`` never the first.
        """
        at = bisect_right(self._offsets, offset) - 1
        for place, batch in self._walk(self._places[at] if at >= 0 else 0, end):
            if batch.last >= offset:
                size = max(most, batch.size) if whole else most
                return self._at(place, min(size, end - place))
        return b""

    def at_time(self, moment: int, end: int) -> bytes | None:
        """The first batch with a record not before ``moment`` (milliseconds since 1970)."""
        for at, time in enumerate(self._times):
            if time >= moment:
                for place, batch in self._walk(self._places[at], end):
                    if batch.max_time >= moment:
                        return self._at(place, batch.size)
        return None

    def _walk(self, place: int, end: int) -> Iterator[tuple[int, Batch]]:
        while place < end:
            batch = head(self._at(place, HEADER))
            yield place, batch
            place += batch.size

    def _at(self, place: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, place)

    def remove(self) -> None:
        """Delete the file; a read that is under way still ends."""
        self.path.unlink()
        self._sealed.unlink(missing_ok=True)
