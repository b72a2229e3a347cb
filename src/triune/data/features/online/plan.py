"""What to read for a set of features, worked out once: keys, fields and decoders. Pure.

Views that share their join keys lie in one hash, so they cost one command for each entity.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from triune.data.features.online import keys
from triune.data.features.online.layout import (
    HEADER,
    NULL,
    LayoutMismatch,
    ViewLayout,
    event_time,
    is_fixed,
    struct_of,
)

Decoder = Callable[[bytes], tuple[Any, ...]]
Rows = Mapping[str, Sequence[object]]


class Status(IntEnum):
    """What was found for one entity in one view."""

    PRESENT = 0
    NOT_FOUND = 1
    EXPIRED = 2
    UNREADABLE = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One view of a plan, and what is asked of it."""

    layout: ViewLayout
    names: tuple[str, ...]
    full: tuple[str, ...]
    decode: Decoder
    ttl_us: int
    nothing: tuple[None, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Views with the same join keys: one hash for each entity."""

    join_keys: tuple[str, ...]
    prefix: bytes
    fields: tuple[bytes, ...]
    parts: tuple[Part, ...]

    def keys(self, rows: Rows) -> list[bytes]:
        """The key of each row's entity."""
        if len(self.join_keys) == 1:
            prefix, encoded = self.prefix, keys.encoded
            return [prefix + encoded(value) for value in rows[self.join_keys[0]]]
        columns = [rows[name] for name in self.join_keys]
        return [keys.key(self.prefix, values) for values in zip(*columns, strict=True)]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask the store for, and how to read its answers."""

    groups: tuple[Group, ...]

    @property
    def join_keys(self) -> tuple[str, ...]:
        """Every join key that is needed, each once."""
        return tuple(dict.fromkeys(key for group in self.groups for key in group.join_keys))

    @property
    def features(self) -> tuple[str, ...]:
        """The features read, ``view:feature``, in the order of the plan."""
        return tuple(name for group in self.groups for part in group.parts for name in part.full)

    def requests(self, rows: Rows) -> list[tuple[bytes, tuple[bytes, ...]]]:
        """Key and fields of each command, group by group, row by row."""
        return [(key, group.fields) for group in self.groups for key in group.keys(rows)]

    def answer(self, found: Sequence[Sequence[bytes | None]], count: int, now_us: int) -> Answer:
        """What the store said to `requests`, decoded."""
        columns: dict[str, list[Any]] = {}
        statuses: dict[str, list[Status]] = {}
        times: dict[str, list[int | None]] = {}
        for place, group in enumerate(self.groups):
            answers = found[place * count : (place + 1) * count]
            if count == 1:
                for part, blob in zip(group.parts, answers[0], strict=True):
                    row, status, at = _row(part, blob, now_us)
                    view = part.layout.view
                    statuses[view], times[view] = [status], [at]
                    for name, value in zip(part.full, row, strict=True):
                        columns[name] = [value]
                continue
            for position, part in enumerate(group.parts):
                rows = [_row(part, answer[position], now_us) for answer in answers]
                view = part.layout.view
                statuses[view] = [row[1] for row in rows]
                times[view] = [row[2] for row in rows]
                for number, name in enumerate(part.full):
                    columns[name] = [row[0][number] for row in rows]
        return Answer(columns, statuses, times)


@dataclass(frozen=True, slots=True)
class Answer:
    """Features by ``view:feature``, and status and event time (microseconds) of each view's row;
    every list has an item for each entity asked for. Without a value: None."""

    columns: dict[str, list[Any]]
    statuses: dict[str, list[Status]]
    event_times: dict[str, list[int | None]]


def compile(layouts: Sequence[ViewLayout], features: Sequence[str]) -> Plan:
    """The plan to read ``view`` (all features of it) or ``view:feature``.

    Raises
    ------
    KeyError: a view or feature that no layout has, as the argument.
    """
    known = {layout.view: layout for layout in layouts}
    wanted: dict[str, list[str]] = {}
    for asked in features:
        view, _, name = asked.partition(":")
        if view not in known:
            raise KeyError(asked)
        names = [name] if name else [one for one, _ in known[view].features]
        for one in names:
            if one not in dict(known[view].features):
                raise KeyError(asked)
            if one not in wanted.setdefault(view, []):
                wanted[view].append(one)
    groups: dict[tuple[str, tuple[str, ...]], list[Part]] = {}
    for view, names in wanted.items():
        layout = known[view]
        full = tuple(f"{view}:{name}" for name in names)
        ttl_us = round(layout.ttl_seconds * 1e6)
        nothing = (None,) * len(names)
        part = Part(layout, tuple(names), full, decoder(layout, names), ttl_us, nothing)
        groups.setdefault((layout.project, tuple(sorted(layout.join_keys))), []).append(part)
    return Plan(tuple(_group(project, keys_, parts) for (project, keys_), parts in groups.items()))


def _group(project: str, join_keys: tuple[str, ...], parts: list[Part]) -> Group:
    fields = tuple(part.layout.field for part in parts)
    return Group(join_keys, keys.prefix(project, join_keys), fields, tuple(parts))


def decoder(layout: ViewLayout, names: Sequence[str]) -> Decoder:
    """A function from a row's bytes to the values of these features, in this order.

    Only what is asked is decoded where the row lacks nothing and all of it has a fixed width.
    """
    places = [layout.place(name) for name in names]

    def slow(row: bytes) -> tuple[Any, ...]:
        values = layout.unpack(row)
        return tuple(None if values[i] is NULL else values[i] for i in places)

    if not all(is_fixed(layout.features[i][1]) for i in places):
        return slow
    return _fast(layout, places, slow)


def _fast(layout: ViewLayout, places: Sequence[int], slow: Decoder) -> Decoder:
    ordered = sorted(places)
    reads = struct_of(layout, ordered).unpack_from
    prefix, present, at = layout.prefix, layout.all_present, HEADER + layout.state_bytes
    in_order = ordered == list(places)
    turn = [ordered.index(place) for place in places]

    def fast(row: bytes) -> tuple[Any, ...]:
        if row[:5] != prefix or row[HEADER:at] != present:
            return slow(row)
        values = reads(row, at)
        return values if in_order else tuple(values[i] for i in turn)

    return fast


def _row(part: Part, blob: bytes | None, now_us: int) -> tuple[tuple[Any, ...], Status, int | None]:
    """Values, status and event time of one entity's row."""
    if blob is None:
        return part.nothing, Status.NOT_FOUND, None
    at = event_time(blob)
    if part.ttl_us and now_us - at > part.ttl_us:
        return part.nothing, Status.EXPIRED, at
    try:
        return part.decode(blob), Status.PRESENT, at
    except (LayoutMismatch, struct.error, ValueError, IndexError):
        return part.nothing, Status.UNREADABLE, None
