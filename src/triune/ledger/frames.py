"""The journal's frames: how events lie in a segment, and how damage is told from a torn tail.

A frame is ``marker (4 bytes) | length (u32) | crc32 (u32) | body``, little endian; the sum
covers the length and the body. A process that is killed leaves at most one cut frame, at the
very end. A frame that does not hold and has a good frame behind it is therefore *damage*.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

from triune.core.errors import Refused

MARKER = b"\xa7EV1"
LONGEST_BODY = 16 * 1024 * 1024
_HEADER = struct.Struct("<4sII")
HEADER_BYTES = _HEADER.size
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes ``start`` to ``end`` of a segment hold no frame, though good frames follow."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a piece of a segment holds.

    ``bodies`` are the good frames in order, ``end`` is where the next frame begins: the end of
    the piece, or the start of a frame that is not (yet) whole.
    """

    bodies: list[bytes]
    damages: tuple[Damage, ...]
    end: int


def frame(body: bytes) -> bytes:
    """The body as a frame; refused (``event-too-large``) beyond 16 MiB."""
    length = len(body)
    if length > LONGEST_BODY:
        raise Refused(
            "event-too-large",
            f"an event of {length} bytes does not fit a frame of {LONGEST_BODY}",
            hint="Store the bytes as an artifact and put their digest into the payload.",
        )
    return _HEADER.pack(MARKER, length, _checksum(length, body)) + body


def scan(data: bytes, start: int = 0, *, most: int | None = None, final: bool = True) -> Scan:
    """Read frames from ``data[start:]``, at most ``most`` of them.

    With ``final=False`` more bytes may follow, so that a frame which is not whole is left for
    the next call; with ``final=True`` it is a torn tail: ``end`` stops before it.
    """
    bodies: list[bytes] = []
    damages: list[Damage] = []
    at = start
    while at < len(data) and (most is None or len(bodies) < most):
        body = _body_at(data, at)
        if body is not None:
            bodies.append(body)
            at += HEADER_BYTES + len(body)
            continue
        following = _next_good(data, at + 1)
        if following is None:
            break
        if not final and _may_be_cut(data, at):
            break
        damages.append(Damage(at, following))
        at = following
    return Scan(bodies, tuple(damages), at)


def _checksum(length: int, body: bytes | memoryview) -> int:
    return crc32(body, crc32(_LENGTH.pack(length)))


def _body_at(data: bytes, at: int) -> bytes | None:
    begin = at + HEADER_BYTES
    if begin > len(data):
        return None
    marker, length, checksum = _HEADER.unpack_from(data, at)
    if marker != MARKER or not 0 < length <= LONGEST_BODY or begin + length > len(data):
        return None
    body = data[begin : begin + length]
    return body if _checksum(length, body) == checksum else None


def _may_be_cut(data: bytes, at: int) -> bool:
    """Whether the frame could be whole once the bytes behind ``data`` are read as well."""
    if len(data) - at < HEADER_BYTES:
        return True
    marker, length, _ = _HEADER.unpack_from(data, at)
    return bool(
        marker == MARKER and length <= LONGEST_BODY and at + HEADER_BYTES + length > len(data)
    )


def _next_good(data: bytes, start: int) -> int | None:
    at = data.find(MARKER, start)
    while at >= 0:
        if _body_at(data, at) is not None:
            return at
        at = data.find(MARKER, at + 1)
    return None
