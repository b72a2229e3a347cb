"""The run journal's on-disk format: what a frame is, and how a reader survives a torn one.

A journal is a file of frames, one for each call on a run::

    2 bytes  b"\xa7T"                magic
    4 bytes  length of the body      little endian
    4 bytes  CRC-32 of the body      little endian
    n bytes  the body                MessagePack array: tag, then the fields of one class below

A frame is written by one ``write(2)`` to a file opened for appending, so that calls from
several threads or forked processes never interleave, and what a call wrote outlives kill -9
of the process. A frame whose bytes are cut or damaged is passed over: reading goes on at the
next whole frame, or stops where none follows.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator

import msgspec

MAGIC = b"\xa7T"
LARGEST_BODY = 64 * 1024 * 1024

_HEADER = struct.Struct("<2sII")


class Begin(msgspec.Struct, frozen=True, array_like=True, tag="begin"):
    """The first frame: who runs what, from which inputs.

    ``inputs`` are lineage parents as (reference, role). The ``*_event`` ids name the events
    that tell the ledger, so that whoever tells it, and however often, it is stored once.
    """

    id: str
    time: int
    name: str
    actor: str
    host: str
    pid: int
    started_event: str
    finished_event: str
    inputs: list[tuple[str, str]] = []
    details: dict[str, str] = {}


class Metrics(msgspec.Struct, frozen=True, array_like=True, tag="metrics"):
    """Values measured together at one step; ``time`` in microseconds since 1970 UTC."""

    time: int
    step: int
    values: dict[str, float]


class Params(msgspec.Struct, frozen=True, array_like=True, tag="params"):
    """Settings of the run; a name keeps its first value."""

    values: dict[str, str | int | float | bool]


class Tags(msgspec.Struct, frozen=True, array_like=True, tag="tags"):
    """Labels; a later value replaces an earlier one."""

    values: dict[str, str]


class Artifact(msgspec.Struct, frozen=True, array_like=True, tag="artifact"):
    """A file or folder that lies, whole, below ``artifacts/`` of the run's folder."""

    time: int
    name: str
    digest: str
    size: int


class Unversioned(msgspec.Struct, frozen=True, array_like=True):
    """A file that was read and that no version records; ``why`` says what would have.

    ``digest`` is empty when the file was gone or changed when the run ended.
    """

    path: str
    digest: str
    size: int
    why: str


class Reads(msgspec.Struct, frozen=True, array_like=True, tag="reads"):
    """What the run was seen to read.

    Attributes
    ----------
    capture: how it was seen: ``kernel`` all of it, ``python`` only what Python code opened
    inputs: versions that were read, as (reference, role)
    unversioned: files that no version records; ``more`` counts those not listed
    connections: peers outside the run that it connected to
    outside: files and peers that the workspace declares to be no data
    counts: files by what they are: data, code, environment, own
    failed: why the reads could not be told apart, when they could not
    """

    time: int
    capture: str
    inputs: list[tuple[str, str]] = []
    unversioned: list[Unversioned] = []
    more: int = 0
    connections: list[str] = []
    outside: list[str] = []
    counts: dict[str, int] = {}
    lost: int = 0
    failed: str = ""


class Finish(msgspec.Struct, frozen=True, array_like=True, tag="finish"):
    """The last frame. ``error`` is the reason when the status is not ``finished``."""

    time: int
    status: str
    error: str = ""


Frame = Begin | Metrics | Params | Tags | Artifact | Reads | Finish

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    """The bytes of one frame."""
    body = _encoder.encode(frame)
    return _HEADER.pack(MAGIC, len(body), crc32(body)) + body


def decode(data: bytes, start: int = 0) -> Iterator[tuple[Frame, int]]:
    """Every whole frame from ``start`` on, each with the offset just behind it."""
    position = start
    while (position := data.find(MAGIC, position)) >= 0:
        end = _end_of_body(data, position)
        if end is None:
            position += 1
            continue
        try:
            frame = _decoder.decode(data[position + _HEADER.size : end])
        except msgspec.DecodeError:
            position += 1
            continue
        yield frame, end
        position = end


def _end_of_body(data: bytes, position: int) -> int | None:
    if position + _HEADER.size > len(data):
        return None
    header: tuple[bytes, int, int] = _HEADER.unpack_from(data, position)
    _, length, checksum = header
    end = position + _HEADER.size + length
    if length > LARGEST_BODY or end > len(data):
        return None
    if crc32(memoryview(data)[position + _HEADER.size : end]) != checksum:
        return None
    return end
