"""What a partition's events come to: windowed values by event time, exact. Pure.

Time is the *watermark*: the latest event time seen, or what an advance says. An event counts from
its own time on, until exactly the window later. A row is written with the latest moment up to the
watermark at which the entity's values changed: an event's time, or the end of its window. So what
is online at a moment equals what a point-in-time join would find, whatever order events came in.

All of it is a function of the messages from one offset to another: read again from where
`Partition.kept` says, with the watermark that it says, they give the same state and rows.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from triune.core.stream_config import Aggregation
from triune.data.features.online.writer import Row
from triune.data.streams.model import Aggregate, Happened, Spec, Transform
from triune.data.streams.sums import ExactSum

Entity = tuple[Any, ...]
_BEFORE_ALL = -(1 << 62)
_LONGEST_FAILURE = 200


class Taken(Enum):
    """What became of an event."""

    APPLIED = auto()
    DUPLICATE = auto()
    LATE = auto()


@dataclass(slots=True)
class _Window:
    """The events of one entity that count for one length of window, oldest first."""

    length: int
    events: list[tuple[int, int, Happened]] = field(default_factory=list)
    sums: dict[str, ExactSum] = field(default_factory=dict)

    def add(self, offset: int, event: Happened) -> None:
        insort(self.events, (event.time_us, offset, event), key=lambda one: one[:2])
        for name, total in self.sums.items():
            total.add(event.fields[name])

    def expire(self, moment: int) -> int:
        """Forget what no longer counts at a moment; returns when the last of it stopped."""
        gone = 0
        while gone < len(self.events) and self.events[gone][0] + self.length <= moment:
            gone += 1
        if not gone:
            return _BEFORE_ALL
        for _, _, event in self.events[:gone]:
            for name, total in self.sums.items():
                total.take(event.fields[name])
        ended = self.events[gone - 1][0] + self.length
        del self.events[:gone]
        return ended


@dataclass(slots=True)
class _State:
    """One entity: its windows by length, its newest event, and when its values last changed."""

    windows: dict[int, _Window]
    newest: tuple[int, int, Happened] | None = None
    newest_after: int = _BEFORE_ALL
    changed: int = _BEFORE_ALL


@dataclass(frozen=True, slots=True)
class Kept:
    """From which offset a state can be built again, and the watermark just before it."""

    offset: int
    watermark: int


class Partition:
    """The state of one partition.

    ``watermark`` is in microseconds since 1970; ``failures`` counts, by what was raised, values
    that a `transform` failed on since whoever looks at them last cleared it.
    """

    def __init__(self, spec: Spec, watermark: int = _BEFORE_ALL) -> None:
        self._spec = spec
        self.watermark = watermark
        self._entities: dict[Entity, _State] = {}
        self._ends: list[tuple[int, int, Entity]] = []
        self._seen: set[str] = set()
        self._seen_order: list[tuple[int, int, str]] = []
        self._trail: deque[tuple[int, int, str]] = deque()
        self.failures: Counter[str] = Counter()
        self._unwindowed = any(one.window_us is None for one in spec.order)
        self._touched: set[Entity] = set()
        self._windows = {
            length: [
                one.field
                for one in spec.order
                if one.window_us == length
                and one.field is not None
                and one.aggregation in (Aggregation.SUM, Aggregation.MEAN)
            ]
            for length in sorted({one.window_us for one in spec.order if one.window_us})
        }

    def take(self, offset: int, event: Happened) -> Taken:
        """Take an event in; `rows` tells afterwards what changed."""
        if event.id in self._seen:
            return Taken.DUPLICATE
        if event.time_us < self.watermark - self._spec.lateness_us:
            return Taken.LATE
        self._seen.add(event.id)
        self._trail.append((offset, self.watermark, event.id))
        heapq.heappush(self._seen_order, (event.time_us, offset, event.id))
        state = self._entities.get(event.entity)
        if state is None:
            state = self._entities[event.entity] = self._new()
        for window in state.windows.values():
            end = event.time_us + window.length
            if end > self.watermark:
                window.add(offset, event)
                heapq.heappush(self._ends, (end, offset, event.entity))
            else:
                state.changed = max(state.changed, end)
        if state.newest is None or (event.time_us, offset) > state.newest[:2]:
            state.newest = (event.time_us, offset, event)
            state.newest_after = self.watermark
        state.changed = max(state.changed, event.time_us)
        self._touched.add(event.entity)
        self.advance(event.time_us)
        return Taken.APPLIED

    def advance(self, moment: int) -> None:
        """It is at least so late; never goes back."""
        if moment <= self.watermark:
            return
        self.watermark = moment
        while self._ends and self._ends[0][0] <= moment:
            self._touched.add(heapq.heappop(self._ends)[2])
        self._forget_ids()

    def rows(self) -> list[Row]:
        """A row for each entity whose values changed since the last call."""
        rows = [self._row(entity) for entity in sorted(self._touched, key=repr)]
        self._touched.clear()
        return rows

    def kept(self, following: int) -> Kept:
        """From where this state can be built again; ``following`` is the offset behind it."""
        while self._trail and self._trail[0][2] not in self._seen:
            self._trail.popleft()
        offset, watermark = self._trail[0][:2] if self._trail else (following, self.watermark)
        found = Kept(offset, watermark)
        if self._unwindowed:
            for state in self._entities.values():
                if state.newest is not None and state.newest[1] < found.offset:
                    found = Kept(state.newest[1], state.newest_after)
        return found

    def _new(self) -> _State:
        return _State(
            {
                length: _Window(length, sums={name: ExactSum() for name in fields})
                for length, fields in self._windows.items()
            }
        )

    def _row(self, entity: Entity) -> Row:
        state = self._entities[entity]
        for window in state.windows.values():
            state.changed = max(state.changed, window.expire(self.watermark))
        values = tuple(self._value(state, one) for one in self._spec.order)
        return Row(entity, state.changed, values)

    def _value(self, state: _State, one: Aggregate) -> float | None:
        value = _aggregated(state, one)
        if value is None:
            value = one.empty
        if value is not None and one.transform is not None:
            value = self._transformed(one.transform, value)
        return value

    def _transformed(self, transform: Transform, value: float) -> float | None:
        """The value; missing, and counted, where the workspace's function fails on it."""
        try:
            return float(transform(value))
        except Exception as error:
            self.failures[f"{type(error).__name__}: {error}"[:_LONGEST_FAILURE]] += 1
            return None

    def _forget_ids(self) -> None:
        """An event that would be late by now need not be known any more, nor one that counts
        in no window."""
        oldest = self.watermark - max(self._spec.lateness_us, self._spec.longest_us)
        while self._seen_order and self._seen_order[0][0] < oldest:
            self._seen.discard(heapq.heappop(self._seen_order)[2])


def _aggregated(state: _State, one: Aggregate) -> float | None:
    if one.window_us is None:
        return None if state.newest is None else _float(state.newest[2], one.field)
    window = state.windows[one.window_us]
    if one.aggregation is Aggregation.COUNT:
        return float(len(window.events))
    return _of_window(window, one) if window.events else None


def _of_window(window: _Window, one: Aggregate) -> float:
    match one.aggregation:
        case Aggregation.SUM:
            return window.sums[one.field or ""].value()
        case Aggregation.MEAN:
            return window.sums[one.field or ""].mean(len(window.events))
        case Aggregation.LAST:
            return _float(window.events[-1][2], one.field)
    values = [_float(event, one.field) for _, _, event in window.events]
    return min(values) if one.aggregation is Aggregation.MIN else max(values)


def _float(event: Happened, field_: str | None) -> float:
    return float(event.fields[field_ or ""])
