"""How the features of one view version become bytes, and how they are read back. Pure.

A packed row, all integers unsigned unless said otherwise:

    offset  size  what
    0       1     format, 1
    1       4     the first bytes of the version's digest: no other layout is ever misread
    5       8     event time, microseconds since 1970 plus 2^63, big-endian: sorts as bytes
    13      8     created time likewise; 0 when there is none
    21      n     two bits for each feature, low bits first: absent, present, null, odd
    21+n    f     scalars of fixed width, little-endian, in the order of the layout
    ...     4v    for each feature of varying width, where its bytes end, from the end of this table
    ...           their bytes
    ...           for each odd feature: four bytes of length, then its Feast value as protobuf

*Absent* is a value without a type, *null* Feast's explicit null; both read as None. *Odd* is a
value of another type than the view declares: Feast lets one be written, so it is kept exactly.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from hashlib import sha256
from typing import Any

FORMAT = 1
HEADER = 21
TIMES = slice(5, HEADER)
_SIGN = 1 << 63
_FIXED = {
    "INT32": "i",
    "INT64": "q",
    "DOUBLE": "d",
    "FLOAT": "f",
    "BOOL": "?",
    "UNIX_TIMESTAMP": "q",
}
_TEXTS = frozenset({"STRING", "JSON", "UUID", "TIME_UUID", "DECIMAL"})
_BYTES = frozenset({"BYTES", "PDF_BYTES", "IMAGE_BYTES"})


class Presence(IntEnum):
    """What is known of one feature of a row."""

    ABSENT = 0
    PRESENT = 1
    NULL = 2
    ODD = 3


@dataclass(frozen=True, slots=True)
class Odd:
    """A Feast value as protobuf bytes, of another type than the layout declares."""

    proto: bytes


class Null:
    """Feast's explicit null; `NULL` is the only one."""


NULL = Null()


class LayoutMismatch(ValueError):
    """Bytes of another format or view version."""


@dataclass(frozen=True)
class ViewLayout:
    """The features of one version of a feature view, in the order they are packed.

    Attributes
    ----------
    features: name and Feast value type of each; a type of neither scalar, text nor bytes is kept
        as protobuf bytes
    ttl_seconds: age at which a row no longer counts; 0 for never
    """

    project: str
    view: str
    version: str
    join_keys: tuple[str, ...]
    features: tuple[tuple[str, str], ...]
    ttl_seconds: float = 0.0
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {n: i for i, (n, _) in enumerate(self.features)})

    @property
    def ref(self) -> str:
        """``<view>@<version>``."""
        return f"{self.view}@{self.version}"

    @cached_property
    def field(self) -> bytes:
        """The name its rows are stored under, beside those of other views of the same entity."""
        return self.ref.encode()

    @cached_property
    def prefix(self) -> bytes:
        """The five bytes that every row of this layout begins with."""
        shape = json.dumps([self.view, self.version, self.features]).encode()
        return bytes([FORMAT]) + sha256(shape).digest()[:4]

    @cached_property
    def state_bytes(self) -> int:
        return (len(self.features) + 3) // 4

    @cached_property
    def all_present(self) -> bytes:
        """The states of a row that lacks nothing."""
        return _states([Presence.PRESENT] * len(self.features))

    @cached_property
    def fixed(self) -> tuple[int, ...]:
        """Places of the features of fixed width."""
        return tuple(i for i, (_, kind) in enumerate(self.features) if kind in _FIXED)

    @cached_property
    def varying(self) -> tuple[int, ...]:
        """Places of the others."""
        return tuple(i for i, (_, kind) in enumerate(self.features) if kind not in _FIXED)

    @cached_property
    def scalars(self) -> struct.Struct:
        """All features of fixed width."""
        return struct.Struct("<" + "".join(_FIXED[self.features[i][1]] for i in self.fixed))

    def place(self, feature: str) -> int:
        """Where a feature stands; raises KeyError."""
        return self._places[feature]

    def pack(self, values: Sequence[Any], event_us: int, created_us: int | None = None) -> bytes:
        """One row. ``values`` has a value for each feature, in order: None, `NULL`, `Odd`, a
        number, a text, bytes; protobuf bytes for a type that is none of these.

        Raises
        ------
        TypeError, struct.error: a value does not fit its type.
        """
        states = [_presence(value) for value in values]
        scalars = self.scalars.pack(
            *(values[i] if states[i] is Presence.PRESENT else 0 for i in self.fixed)
        )
        ends, body = [], []
        end = 0
        for i in self.varying:
            if states[i] is Presence.PRESENT:
                encoded = _encoded(self.features[i][1], values[i])
                body.append(encoded)
                end += len(encoded)
            ends.append(end)
        odd = [value.proto for value in values if isinstance(value, Odd)]
        return b"".join(
            (
                self.prefix,
                sortable(event_us),
                sortable(created_us) if created_us is not None else bytes(8),
                _states(states),
                scalars,
                struct.pack(f"<{len(ends)}I", *ends),
                *body,
                *(part for proto in odd for part in (struct.pack("<I", len(proto)), proto)),
            )
        )

    def unpack(self, row: bytes) -> list[Any]:
        """The values, as `pack` took them, but None for absent and `NULL` for null."""
        self.check(row)
        states = self.states(row)
        at = HEADER + self.state_bytes
        values: list[Any] = [None] * len(states)
        for i, value in zip(self.fixed, self.scalars.unpack_from(row, at), strict=True):
            values[i] = value
        at += self.scalars.size
        table = len(self.varying)
        ends = struct.unpack_from(f"<{table}I", row, at)
        base = at + 4 * table
        begin = 0
        for i, end in zip(self.varying, ends, strict=True):
            values[i] = _decoded(self.features[i][1], row[base + begin : base + end])
            begin = end
        odd = base + (ends[-1] if ends else 0)
        for i, state in enumerate(states):
            if state is Presence.ODD:
                (size,) = struct.unpack_from("<I", row, odd)
                values[i] = Odd(row[odd + 4 : odd + 4 + size])
                odd += 4 + size
            elif state is not Presence.PRESENT:
                values[i] = NULL if state is Presence.NULL else None
        return values

    def states(self, row: bytes) -> list[Presence]:
        """What is known of each feature of a row."""
        raw = row[HEADER : HEADER + self.state_bytes]
        return [Presence(raw[i >> 2] >> 2 * (i & 3) & 3) for i in range(len(self.features))]

    def check(self, row: bytes) -> None:
        """Raises `LayoutMismatch` for the bytes of another layout."""
        if row[:5] != self.prefix:
            raise LayoutMismatch(f"{self.ref}: bytes of another layout ({row[:5].hex()})")

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` gives it back."""
        return {
            "project": self.project,
            "view": self.view,
            "version": self.version,
            "join_keys": list(self.join_keys),
            "features": [list(one) for one in self.features],
            "ttl_seconds": self.ttl_seconds,
        }

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> ViewLayout:
        """The layout that `to_json` wrote."""
        features = tuple((str(name), str(kind)) for name, kind in table["features"])
        return cls(**(table | {"features": features, "join_keys": tuple(table["join_keys"])}))


def sortable(microseconds: int) -> bytes:
    """Eight bytes that sort as the numbers do."""
    return (microseconds + _SIGN).to_bytes(8, "big")


def event_time(row: bytes) -> int:
    """The row's event time, microseconds since 1970."""
    return int.from_bytes(row[5:13], "big") - _SIGN


def created_time(row: bytes) -> int | None:
    """The row's created time likewise; None when it has none."""
    raw = int.from_bytes(row[13:21], "big")
    return raw - _SIGN if raw else None


def struct_of(layout: ViewLayout, places: Sequence[int]) -> struct.Struct:
    """Reads the features at these places (all of fixed width, ascending) and skips the others."""
    wanted = set(places)
    parts = []
    for i in layout.fixed:
        code = _FIXED[layout.features[i][1]]
        parts.append(code if i in wanted else f"{struct.calcsize('<' + code)}x")
    return struct.Struct("<" + "".join(parts))


def is_fixed(kind: str) -> bool:
    """Whether a Feast value type has a fixed width."""
    return kind in _FIXED


def is_text(kind: str) -> bool:
    """Whether a Feast value type is kept as UTF-8."""
    return kind in _TEXTS


def is_plain(kind: str) -> bool:
    """Whether values of this type are Python's own, not protobuf bytes."""
    return kind in _FIXED or kind in _TEXTS or kind in _BYTES


def _presence(value: Any) -> Presence:
    if value is None:
        return Presence.ABSENT
    if value is NULL:
        return Presence.NULL
    return Presence.ODD if isinstance(value, Odd) else Presence.PRESENT


def _states(states: Sequence[Presence]) -> bytes:
    packed = bytearray((len(states) + 3) // 4)
    for i, state in enumerate(states):
        packed[i >> 2] |= state << 2 * (i & 3)
    return bytes(packed)


def _encoded(kind: str, value: Any) -> bytes:
    if kind in _TEXTS:
        if not isinstance(value, str):
            raise TypeError(f"{kind} takes a text, not {type(value).__name__}")
        return value.encode()
    if not isinstance(value, bytes):
        raise TypeError(f"{kind} takes bytes, not {type(value).__name__}")
    return value


def _decoded(kind: str, raw: bytes) -> str | bytes:
    return raw.decode() if kind in _TEXTS else raw
