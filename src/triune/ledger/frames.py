"""The journal's frames: how events lie in a segment, and how damage is told from a torn tail.

A frame is a header and a body. The header is ``marker (4 bytes) | length of the body (u32) |
crc32 of the body (u32) | crc32 of the header so far (u32)``, little endian. A process that is
killed leaves at most one *short* frame, at the very end. Whatever else does not hold is *damage*.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

from triune.core.errors import Refused

MARKER = b"\xa7EV1"
LONGEST_BODY = 16 * 1024 * 1024
_FIELDS = struct.Struct("<4sII")
_SUM = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _SUM.size


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes ``start`` to ``end`` of a segment held a frame and hold it no more."""

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
    fields = _FIELDS.pack(MARKER, length, crc32(body))
    return fields + _SUM.pack(crc32(fields)) + body


def scan(data: bytes, *, most: int | None = None) -> Scan:
    """Read frames from the start of ``data``, at most ``most`` of them.

    ``end`` stops before a frame that is not whole: where the segment ends it is a torn tail,
    elsewhere it is read again with the bytes that follow.
    """
    bodies: list[bytes] = []
    damages: list[Damage] = []
    at = 0
    while at < len(data) and (most is None or len(bodies) < most):
        header = _header_at(data, at)
        if header is None:
            following = _next_header(data, at + 1)
            if following is None:
                break
            damages.append(Damage(at, following))
            at = following
            continue
        length, checksum = header
        end = at + HEADER_BYTES + length
        if end > len(data):
            break
        body = data[at + HEADER_BYTES : end]
        if crc32(body) == checksum:
            bodies.append(body)
        else:
            damages.append(Damage(at, end))
        at = end
    return Scan(bodies, tuple(damages), at)


def _header_at(data: bytes, at: int) -> tuple[int, int] | None:
    """Length and checksum of the body, when a header stands there that holds."""
    if at + HEADER_BYTES > len(data):
        return None
    marker, length, checksum = _FIELDS.unpack_from(data, at)
    (own,) = _SUM.unpack_from(data, at + _FIELDS.size)
    if marker != MARKER or length > LONGEST_BODY:
        return None
    return (length, checksum) if crc32(data[at : at + _FIELDS.size]) == own else None


def _next_header(data: bytes, start: int) -> int | None:
    at = data.find(MARKER, start)
    while at >= 0:
        if _header_at(data, at) is not None:
            return at
        at = data.find(MARKER, at + 1)
    return None
