"""Requests from bytes, and answers to bytes, by the message types that `kio` has from Kafka's
own definitions."""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, get_args, get_type_hints

from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer

VERSIONS = {
    0: (3, 8),  # Produce
    1: (4, 11),  # Fetch
    2: (1, 5),  # ListOffsets
    3: (0, 8),  # Metadata
    8: (2, 7),  # OffsetCommit
    9: (1, 5),  # OffsetFetch
    10: (0, 2),  # FindCoordinator
    18: (0, 2),  # ApiVersions
    19: (2, 4),  # CreateTopics
    20: (1, 3),  # DeleteTopics
    21: (0, 1),  # DeleteRecords
    22: (0, 1),  # InitProducerId
}
"""By number of a request, the versions that are understood: those before tagged fields, since any
client may send tags that `kio` does not know, and refuses."""
API_VERSIONS = 18
_START = struct.Struct(">hhi")
_SIZE = struct.Struct(">i")
AT_ONCE = timedelta(0)
OK = ErrorCode.none
UNKNOWN = ErrorCode.unknown_topic_or_partition
Values = dict[str, Any]


class NotUnderstood(ValueError):
    """Bytes that are no request that is understood."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what it asks, in which version, and its message."""

    api: int
    version: int
    correlation: int
    body: Any


def parse(frame: bytes) -> Request:
    """A request from a frame without its length. Raises `NotUnderstood`."""
    try:
        api, version, correlation = _START.unpack_from(frame)
    except struct.error as error:
        raise NotUnderstood("too short") from error
    low, high = VERSIONS.get(api, (0, -1))
    if api == API_VERSIONS and version > high:
        return Request(api, version, correlation, None)
    if not low <= version <= high:
        raise NotUnderstood(f"request {api} in version {version}")
    try:
        schema = load_request_schema(api, version)
        _, size = entity_reader(schema.__header_schema__)(frame, 0)
        body, _ = entity_reader(schema)(frame, size)
    except Exception as error:  # whatever a reader makes of bytes from anyone
        raise NotUnderstood(f"request {api}: {type(error).__name__}: {error}") from error
    return Request(api, version, correlation, body)


def frame(request: Request, values: Mapping[str, Any], *, version: int | None = None) -> bytes:
    """An answer with its length; ``values`` are those of Kafka's message by name, plain tuples
    and mappings. What this version of it does not have is left out."""
    schema = load_response_schema(request.api, request.version if version is None else version)
    sink = io.BytesIO()
    sink.write(_SIZE.pack(0))
    header: Any = schema.__header_schema__
    entity_writer(header)(sink, _maker(header)({"correlation_id": request.correlation}))
    entity_writer(schema)(sink, _maker(schema)(values))
    raw = sink.getbuffer()
    _SIZE.pack_into(raw, 0, len(raw) - _SIZE.size)
    return bytes(raw)


@cache
def _maker(schema: Any) -> Callable[[Mapping[str, Any]], Any]:
    """What makes one of Kafka's messages from plain values."""
    hints = get_type_hints(schema)
    names = [one.name for one in dataclasses.fields(schema)]
    inner = {name: _maker(found) for name in names if (found := _inner(hints[name])) is not None}

    def make(values: Mapping[str, Any]) -> Any:
        found = {name: values[name] for name in names if name in values}
        for name in inner.keys() & found.keys():
            if found[name] is not None:
                found[name] = tuple(map(inner[name], found[name]))
        return schema(**found)

    return make


def _inner(hint: Any) -> type | None:
    """The message that a list has."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint
    for argument in get_args(hint):
        found = _inner(argument)
        if found is not None:
            return found
    return None


__all__ = [
    "AT_ONCE", "OK", "UNKNOWN", "VERSIONS", "ErrorCode", "NotUnderstood", "Request", "Values",
    "frame", "parse",
]  # fmt: skip
