"""The gateway's access log as events. Pure: lines in, events out.

One JSON object for each request, written by Envoy (see ``gateway/backends/envoy_bootstrap``).
A good answer with a prediction id becomes ``prediction.served`` with the lineage edge to its
release; a 5xx ``request.failed``, filed under the release that should have answered. What
callers did wrong (4xx), gave up on, or asked besides is only counted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from triune.core.config import slug
from triune.ledger.envelope import Edge, Event

ACTOR = "service:gateway"
SERVED = "prediction.served"
FAILED = "request.failed"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_OBJECT = b'{"'
_NOT_DEGRADED = (None, "", "false", "0")


class Line(msgspec.Struct, frozen=True):
    """One request. Times in microseconds; a text is None where the request had none."""

    start_us: str
    status: int
    method: str | None = None
    path: str | None = None
    endpoint: str | None = None
    unit: str | None = None
    request: str | None = None
    flags: str | None = None
    duration_us: int | None = None
    upstream: str | None = None
    upstream_release: str | None = None
    upstream_arm: str | None = None
    prediction: str | None = None
    release: str | None = None
    arm: str | None = None
    degraded: str | None = None
    instance: str | None = None


class Sort(StrEnum):
    """What became of a request."""

    SERVED = "served"
    FAILED = "failed"
    REJECTED = "rejected"
    ABANDONED = "abandoned"
    OTHER = "other"


_decode: Callable[[bytes], Line] = msgspec.json.Decoder(Line).decode


def parse(line: bytes) -> Line | None:
    """The request a line tells of, None when it is malformed.

    A line that was torn when Envoy was killed and then written on is not lost: its last
    whole object counts.
    """
    start = 0
    while start >= 0:
        try:
            found = _decode(line[start:])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            start = line.find(_OBJECT, start + 1)
            continue
        return found if found.start_us.isdigit() else None
    return None


def sort(line: Line) -> Sort:
    """What became of the request."""
    if line.status >= 500:
        return Sort.FAILED
    if line.status >= 400:
        return Sort.REJECTED
    if line.status == 0:
        return Sort.ABANDONED
    return Sort.SERVED if _prediction(line) else Sort.OTHER


def to_event(line: Line, raw: bytes, workspace: str) -> Event | None:
    """The event a request becomes; None for those that are only counted.

    The same line always gives the same event id.
    """
    kind = sort(line)
    if kind is Sort.SERVED:
        return _served(line, workspace)
    if kind is Sort.FAILED:
        return _failed(line, raw, workspace)
    return None


def _prediction(line: Line) -> str | None:
    """The prediction's id, when it is one."""
    return line.prediction if line.prediction and _UUID.fullmatch(line.prediction) else None


def _served(line: Line, workspace: str) -> Event:
    prediction = line.prediction or ""
    subject = "prediction:" + prediction
    release = _release(line)
    return Event(
        id=prediction,
        time=int(line.start_us),
        kind=SERVED,
        subject=subject,
        actor=ACTOR,
        workspace=workspace,
        payload=_common(line, release) | {"degraded": line.degraded not in _NOT_DEGRADED},
        edges=(Edge(subject, release, "release"),) if release else (),
    )


def _failed(line: Line, raw: bytes, workspace: str) -> Event:
    release = _release(line)
    return Event(
        id=_prediction(line) or identifier(line, raw),
        time=int(line.start_us),
        kind=FAILED,
        subject=release or f"endpoint:{slug(line.endpoint or 'unknown')}",
        actor=ACTOR,
        workspace=workspace,
        payload=_common(line, release) | {"flags": line.flags, "path": line.path},
    )


def _common(line: Line, release: str | None) -> dict[str, Any]:
    common: dict[str, Any] = {
        "endpoint": line.endpoint,
        "release": release,
        "arm": line.arm or line.upstream_arm,
        "unit": line.unit,
        "status": line.status,
        "duration_ms": None if line.duration_us is None else line.duration_us / 1000,
    }
    if line.instance and _NUMBER.fullmatch(line.instance):
        common["instance"] = line.instance
    return common


def _release(line: Line) -> str | None:
    """The release that answered by its own word, else the one the gateway asked."""
    said = line.release or line.upstream_release
    if not said:
        return None
    return said if said.startswith("release:") else f"release:{said}"


def identifier(line: Line, raw: bytes) -> str:
    """A UUIDv7 made of the request's time and the line's own hash."""
    milliseconds = int(line.start_us) // 1000
    noise = int.from_bytes(hashlib.sha256(raw).digest()[:10])
    high = (milliseconds & (1 << 48) - 1) << 16 | 0x7000 | noise >> 68
    low = 0b10 << 62 | noise & (1 << 62) - 1
    text = f"{high << 64 | low:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
