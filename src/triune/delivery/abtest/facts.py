"""What events of the ledger say to a test: who saw what, and what happened to whom. Pure.

A test's metrics read a handful of `Slot` s: a field of its events, folded over a unit's events
within a window. The same facts feed the stream (`triune.delivery.abtest.stream`) and the exact
recomputation (`triune.delivery.abtest.backends.duckdb`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import isfinite
from typing import Any, NamedTuple

from triune.core.ids import time_of
from triune.delivery.abtest.model import Declaration, Field, Fold, Metric, Segment, Source
from triune.delivery.accesslog import FAILED, SERVED
from triune.ledger.envelope import Event, microseconds
from triune.ledger.ports import Stored

EXPOSED = "unit.exposed"
OBSERVED = "outcome.observed"
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LARGEST = 1e150
_MOST_NAMES = 1_000
_LONGEST = 1e12
"""Seconds beyond which a window has no end."""


class Slot(NamedTuple):
    """A field of a test's events, folded over those of a unit within a window of microseconds."""

    field: Field
    window_us: int


class Saw(NamedTuple):
    """A unit saw a variant. ``values`` has one entry for each slot; None: nothing for that slot.
    ``segments`` are those that the unit is in if this is its first exposure."""

    unit: str
    variant: str
    at: int
    sequence: int
    values: tuple[float | None, ...]
    segments: tuple[str, ...] = ()


class Told(NamedTuple):
    """Something became known of a unit. A later one of the same ``key`` takes its place.
    ``made`` is when the prediction was made that it is the outcome of, at a test's endpoint; None:
    it is no prediction's."""

    unit: str
    key: str
    at: int
    sequence: int
    values: tuple[float | None, ...]
    made: int | None = None


class Odd(NamedTuple):
    """An event that is about the test and cannot be used, and why: a key of `ODD`."""

    why: str


ODD: Mapping[str, str] = {
    "anonymous": "exposures without a unit",
    "unknown-variant": "exposures to a variant that the test does not have",
    "without-unit": "outcomes that do not say whose they are",
}

DERIVED: Mapping[str, str] = {
    "absolute_error": "how far the prediction was from the outcome",
    "squared_error": "its square",
    "wrong": "1 when the prediction said yes (0.5 or more) and the outcome no, or the reverse",
}
"""Fields of an outcome that are worked out from its ``predicted`` and ``value``."""

Fact = Saw | Told | Odd


@dataclass(frozen=True, slots=True)
class Period:
    """When exposures count, and at an endpoint predictions whose outcomes come later: from
    ``since`` on, before ``until`` (None: it goes on); microseconds since 1970."""

    since: int
    until: int | None = None

    def holds(self, at: int) -> bool:
        """Whether a moment is inside."""
        return self.since <= at and (self.until is None or at < self.until)

    def counts(self, fact: Saw | Told) -> bool:
        """Whether a fact is the test's: what came of a prediction that another release made, before
        or after the test, says nothing of its variants."""
        moment = fact.at if isinstance(fact, Saw) else fact.made
        return moment is None or self.holds(moment)


@dataclass(frozen=True)
class Reader:
    """Reads the events of one run of a test.

    Parameters
    ----------
    run: the id of the event that started it
    arms: of a test at an endpoint the variant of each release; empty for one of a flag
    """

    declaration: Declaration
    run: str
    arms: Mapping[str, str]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of events to read."""
        exposures = (SERVED, FAILED) if self.declaration.endpoint else (EXPOSED,)
        return (*exposures, OBSERVED)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What the metrics need, each once."""
        found = [slot for m in self.declaration.metrics for slot in slots_of(m) if slot]
        return tuple(dict.fromkeys(found))

    def facts(self, stored: Stored) -> tuple[Fact, ...]:
        """What an event says; nothing when it is not about the test."""
        kind = stored.event.kind
        if kind == OBSERVED:
            found = self._told(stored)
        else:
            found = self._seen_flag(stored) if kind == EXPOSED else self._seen_release(stored)
        return () if found is None else (found,)

    def _seen_release(self, stored: Stored) -> Fact | None:
        event, payload = stored.event, stored.event.payload
        variant = self.arms.get(str(payload.get("release")))
        if variant is None or payload.get("endpoint") != self.declaration.endpoint:
            return None
        said = {**payload, "failed": event.kind == FAILED}
        return self._saw(stored, variant, said)

    def _seen_flag(self, stored: Stored) -> Fact | None:
        payload = stored.event.payload
        if payload.get("run") != self.run:
            return None
        return self._saw(stored, str(payload.get("variant")), payload)

    def _saw(self, stored: Stored, variant: str, payload: Mapping[str, Any]) -> Fact | None:
        unit = payload.get("unit")
        if not isinstance(unit, str) or not unit:
            return Odd("anonymous")
        if variant not in self.declaration.shares:
            return Odd("unknown-variant")
        values = self._getters.values(Source.EXPOSURE, payload)
        segments = tuple(one.label(_at(payload, path)) for one, path in self._segments)
        return Saw(unit, variant, stored.event.time, stored.sequence, values, segments)

    def _told(self, stored: Stored) -> Fact | None:
        event, payload = stored.event, stored.event.payload
        endpoint = self.declaration.endpoint
        if endpoint and payload.get("endpoint", endpoint) != endpoint:
            return None
        values = self._getters.values(Source.OUTCOME, payload)
        if not any(value is not None for value in values):
            return None
        unit = payload.get("unit")
        if not isinstance(unit, str) or not unit:
            return Odd("without-unit")
        key = f"{event.subject}\n{payload.get('name', '')}"
        made = _made(event.subject) if endpoint else None
        return Told(unit, key, happened(event), stored.sequence, values, made)

    @cached_property
    def _segments(self) -> tuple[tuple[Segment, list[str]], ...]:
        return tuple((one, one.path.split(".")) for one in self.declaration.segments)

    @cached_property
    def _getters(self) -> _Getters:
        return _Getters(self.slots)


class _Getters:
    """The slots made ready: which of them an event of a source and a name feeds, and how."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._count = len(slots)
        self._slots = slots
        self._known: dict[
            tuple[Source, object], tuple[tuple[int, tuple[str, ...] | None], ...]
        ] = {}

    def values(self, source: Source, payload: Mapping[str, Any]) -> tuple[float | None, ...]:
        """One entry for each slot; None: the event has nothing for it."""
        found: list[float | None] = [None] * self._count
        for at, path in self._of(source, payload.get("name")):
            found[at] = 1.0 if path is None else _number(_at(payload, path))
        return tuple(found)

    def _of(self, source: Source, name: object) -> tuple[tuple[int, tuple[str, ...] | None], ...]:
        """Place and path of the slots that such an event feeds; no path: it is only counted."""
        asked = source, name if isinstance(name, str) else None
        known = self._known.get(asked)
        if known is None:
            known = tuple(
                (at, None if f.fold is Fold.COUNT else tuple(f.path.split(".")))
                for at, (f, _) in enumerate(self._slots)
                if f.source is source and f.name in (None, asked[1])
            )
            if len(self._known) < _MOST_NAMES:
                self._known[asked] = known
        return known


def slots_of(metric: Metric) -> tuple[Slot, Slot | None]:
    """The slots of a metric's value and, of a ratio, its denominator."""
    window = round(min(metric.window_s, _LONGEST) * 1e6)
    below = metric.denominator
    return Slot(metric.value, window), None if below is None else Slot(below, window)


def happened(event: Event) -> int:
    """When what an outcome tells of happened: ``at`` in its payload (microseconds since 1970, or an
    ISO time), else the event's own time."""
    said = event.payload.get("at")
    if isinstance(said, int) and not isinstance(said, bool):
        return said
    if isinstance(said, str):
        try:
            moment = datetime.fromisoformat(said)
        except ValueError:
            return event.time
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(zoned.timestamp() * 1e6)
    return event.time


def _made(subject: str) -> int | None:
    """When a prediction was made, as its id says: a UUIDv7 begins with its time, in whole
    milliseconds, of which this is the end. So none made after a moment seems to be of before."""
    kind, _, key = subject.partition(":")
    if kind != "prediction" or not _UUID7.fullmatch(key):
        return None
    return microseconds(time_of(key)) + 999


def _at(payload: Mapping[str, Any], path: Sequence[str]) -> object:
    if len(path) == 1 and path[0] in DERIVED and path[0] not in payload:
        return _derived(path[0], payload)
    found: object = payload
    for part in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _derived(name: str, payload: Mapping[str, Any]) -> float | None:
    predicted, value = _number(payload.get("predicted")), _number(payload.get("value"))
    if predicted is None or value is None:
        return None
    if name == "wrong":
        return float((predicted >= 0.5) is not (value != 0.0))
    away = abs(predicted - value)
    return away if name == "absolute_error" else away * away


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or not isfinite(value) or abs(value) > _LARGEST:
        return None
    return float(value)
