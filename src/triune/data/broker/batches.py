"""Kafka's record batches (version 2) as they come and lie: looked at, never taken apart. Pure.

The layout is that of Kafka's documentation, "Record Batch"; the checksum spares the first 21
bytes, so that a broker can write the base offset without computing it again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from crc32c import crc32c

HEADER = 61
_HEAD = struct.Struct(">qiibIhiqqqhii")
_OFFSET_AND_LENGTH = struct.Struct(">qi")
_PLACE = struct.Struct(">qii")
_BEFORE_LENGTH, _CHECKED_FROM, _MAGIC = 12, 21, 2
_COMPRESSED, _TRANSACTIONAL, _CONTROL = 0b111, 0b1_0000, 0b10_0000
LEADER_EPOCH = 0


class Batch(NamedTuple):
    """What a batch's header says; ``size`` in bytes with the header, times in milliseconds."""

    base: int
    size: int
    last: int
    first_time: int
    max_time: int
    attributes: int
    producer: int
    epoch: int
    sequence: int
    records: int

    @property
    def following(self) -> int:
        """The offset behind its last record."""
        return self.last + 1

    @property
    def last_sequence(self) -> int:
        """Its last record's number among its producer's."""
        return (self.sequence + self.records - 1) & 0x7FFF_FFFF

    def moved(self, base: int) -> Batch:
        """The same with its base offset."""
        return self._replace(base=base, last=base + self.last - self.base)

    @property
    def is_plain(self) -> bool:
        """Whether it is of no transaction."""
        return not self.attributes & (_TRANSACTIONAL | _CONTROL)


class BadBatch(ValueError):
    """Bytes that are no whole batch."""


def head(raw: bytes, at: int = 0) -> Batch:
    """The header at a place. Raises `BadBatch` where none can be."""
    if len(raw) - at < HEADER:
        raise BadBatch("shorter than a header")
    base, length, _, magic, _, attributes, delta, first, most, producer, epoch, seq, count = (
        _HEAD.unpack_from(raw, at)
    )
    if magic != _MAGIC or length < HEADER - _BEFORE_LENGTH or delta < 0 or count < 1:
        raise BadBatch("no record batch of version 2")
    size = length + _BEFORE_LENGTH
    return Batch(
        base, size, base + delta, first, most, attributes, producer, epoch, seq, count
    )  # fmt: skip


def checked(raw: bytes, at: int = 0) -> Batch:
    """The whole batch at a place, its checksum right. Raises `BadBatch`."""
    found = head(raw, at)
    if at + found.size > len(raw):
        raise BadBatch("cut off")
    wanted = int.from_bytes(raw[at + 17 : at + _CHECKED_FROM], "big")
    if crc32c(memoryview(raw)[at + _CHECKED_FROM : at + found.size]) != wanted:
        raise BadBatch("its checksum is wrong")
    return found


def split(raw: bytes) -> list[tuple[Batch, bytes]]:
    """A producer's bytes as whole batches. Raises `BadBatch`."""
    found, at = [], 0
    while at < len(raw):
        batch = checked(raw, at)
        found.append((batch, raw[at : at + batch.size]))
        at += batch.size
    if not found:
        raise BadBatch("nothing")
    return found


def placed(raw: bytes, base: int) -> bytes:
    """The batch with its base offset."""
    length = _OFFSET_AND_LENGTH.unpack_from(raw)[1]
    return _PLACE.pack(base, length, LEADER_EPOCH) + raw[_PLACE.size :]


def offset_at(raw: bytes, moment: int) -> int:
    """The first offset in a batch whose time is not before ``moment``; of a compressed batch its
    first."""
    batch = head(raw)
    if batch.attributes & _COMPRESSED or batch.first_time >= moment:
        return batch.base
    for offset_delta, time_delta in _deltas(raw, batch.records):
        if batch.first_time + time_delta >= moment:
            return batch.base + offset_delta
    return batch.following


def _deltas(raw: bytes, count: int) -> Iterator[tuple[int, int]]:
    at = HEADER
    for _ in range(count):
        length, at = _varint(raw, at)
        time_delta, after = _varint(raw, at + 1)
        offset_delta, _ = _varint(raw, after)
        at += length
        yield offset_delta, time_delta


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
