"""What model servers keep of marked requests, read while they write it.

The line format is described in ``docs/reference/serving.md``. A server's workers append to one
file; the reader follows it from a place that is kept over restarts, renames it when it has grown
large, so that the writers begin a new one, and removes it once it is read to its end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from triune.core.errors import Unavailable

CHUNK_BYTES = 1 << 20
ROTATE_BYTES = 16 << 20
FULL_BYTES = (64 << 20) - (64 << 10)
"""From this size on a file may have had no room for a sample: writers end it at 64 MiB."""
OLD_SECONDS = 2.0
"""How long after its last line a renamed file is left to writers that have not noticed yet."""
HEAD_BYTES = 64
_START = b'{"r":"'


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One server's answer to one request; times in microseconds, ``time_us`` since 1970."""

    request: str = msgspec.field(name="r")
    time_us: int = msgspec.field(name="t")
    status: int = msgspec.field(name="s")
    duration_us: int = msgspec.field(name="u")
    instance: int = msgspec.field(name="i", default=0)
    degraded: str | None = msgspec.field(name="g", default=None)
    dropped: int = msgspec.field(name="d", default=0)
    labels: tuple[str, ...] | None = msgspec.field(name="l", default=None)
    probabilities: tuple[float, ...] | None = msgspec.field(name="p", default=None)
    width: int = msgspec.field(name="w", default=1)
    values: tuple[float, ...] | None = msgspec.field(name="y", default=None)
    digest: str | None = msgspec.field(name="h", default=None)

    @property
    def began_us(self) -> int:
        """When the request reached the server."""
        return self.time_us - self.duration_us

    @property
    def good(self) -> bool:
        """Whether the model itself answered."""
        return self.status == 200 and self.degraded is None


_decode: Callable[[bytes], Sample] = msgspec.json.Decoder(Sample).decode


def parse(line: bytes) -> Sample | None:
    """The sample in a line; None when it is malformed.

    What is written behind a line that a full disk tore is not lost: the last whole object counts.
    """
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        start = line.rfind(_START)
    if start < 1:
        return None
    try:
        return _decode(line[start:])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class Place(msgspec.Struct, frozen=True):
    """How far a file is read. It is known by its first bytes, which hold a request's id, so that
    one truncated or made anew is never taken for the one before."""

    head: bytes = b""
    offset: int = 0


class Places(msgspec.Struct, frozen=True):
    """The file in use, and the renamed one before it."""

    now: Place = Place()
    old: Place = Place()


@dataclass(frozen=True, slots=True)
class Piece:
    """What was new in a file.

    ``gap_us``: samples of requests that began before this moment may be missing; 0 without any.
    ``more``: whether the file goes on beyond this piece.
    """

    samples: Sequence[Sample] = ()
    malformed: int = 0
    gap_us: int = 0
    more: bool = False


class SampleReader:
    """Follows one file of samples; only one reader may do so at a time.

    Parameters
    ----------
    places: where to go on, from `places` of the reader before
    rotate_bytes: from which size the file is renamed
    """

    def __init__(
        self, path: Path, places: Places | None = None, *, rotate_bytes: int = ROTATE_BYTES
    ) -> None:
        self._path = path
        self._old = path.with_name(path.name + ".old")
        self._rotate_bytes = rotate_bytes
        self._dropped: dict[int, int] = {}
        self.places = places or Places()

    def read(self) -> Piece:
        """The next whole lines, at most about 1 MiB of them; empty when there are none or no file.

        Raises
        ------
        Unavailable: (``samples-unreadable``) the file is there and cannot be read.
        """
        try:
            return self._read_old() or self._read_now()
        except OSError as error:
            raise Unavailable(
                "samples-unreadable",
                f"the answers kept for comparison cannot be read: {error.strerror}",
                context=str(self._path),
                hint="Make the folder readable and writable to the user that runs Triune.",
            ) from error

    def _read_now(self) -> Piece:
        now, piece, size = self._piece(self._path, self.places.now)
        self.places = Places(now, self.places.old)
        if piece.more or size < self._rotate_bytes or self._old.exists():
            return piece
        self._path.rename(self._old)
        self.places = Places(old=now)
        if size < FULL_BYTES:
            return piece
        return Piece(piece.samples, piece.malformed, time.time_ns() // 1000)

    def _read_old(self) -> Piece | None:
        """What is new in the renamed file; None when that is nothing."""
        if not self._old.exists():
            return None
        if _begins(self._old, self.places.now.head):
            # Renamed by a reader that died before it noted that.
            self.places = Places(old=self.places.now)
        old, piece, _ = self._piece(self._old, self.places.old)
        self.places = Places(self.places.now, old)
        if piece.samples or piece.malformed or piece.more:
            return Piece(piece.samples, piece.malformed, piece.gap_us, more=True)
        if time.time() - self._old.stat().st_mtime > OLD_SECONDS:
            self._old.unlink()
            self.places = Places(self.places.now)
        return None

    def _piece(self, path: Path, place: Place) -> tuple[Place, Piece, int]:
        """The place after a piece, the piece, and the file's size."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return place, Piece(), 0
        try:
            size = os.fstat(descriptor).st_size
            head = os.pread(descriptor, len(place.head), 0)
            offset = place.offset if head == place.head and place.offset <= size else 0
            chunk = os.pread(descriptor, CHUNK_BYTES, offset)
            whole = chunk.rfind(b"\n") + 1
            if whole == 0 and len(chunk) == CHUNK_BYTES:
                whole = len(chunk)  # no line is that long: skip what this is
            end = offset + whole
            head = os.pread(descriptor, min(HEAD_BYTES, end), 0) if end else b""
        finally:
            os.close(descriptor)
        samples, malformed = _parsed(chunk[:whole])
        gap = self._gap(samples)
        return Place(head, end), Piece(samples, malformed, gap, len(chunk) == CHUNK_BYTES), size

    def _gap(self, samples: Sequence[Sample]) -> int:
        """The end of the last stretch in which a worker could not keep its samples."""
        gap = 0
        for sample in samples:
            if sample.dropped > self._dropped.get(sample.instance, 0):
                gap = max(gap, sample.time_us)
            self._dropped[sample.instance] = sample.dropped
        return gap


def _parsed(data: bytes) -> tuple[list[Sample], int]:
    samples, malformed = [], 0
    for line in data.removesuffix(b"\n").split(b"\n") if data else ():
        sample = parse(line)
        if sample is None:
            malformed += 1
        else:
            samples.append(sample)
    return samples, malformed


def _begins(path: Path, head: bytes) -> bool:
    """Whether a file begins with these bytes, of which there are some."""
    if not head:
        return False
    with path.open("rb") as file:
        return file.read(len(head)) == head
