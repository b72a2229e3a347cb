"""What is known of one unit in a test, and what follows from it for the sums. Pure.

A unit is in the variant that it saw first, by the time of the exposure. One that saw another
variant as well (it *hopped*) is left out of every metric and counted. Outcomes count from the
first exposure on, for as long as the metric's window. All of this is said by the set of the facts
alone: in whichever order they arrive, late or twice, the unit ends where it does here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

import msgspec

from triune.delivery.abtest.facts import Saw, Slot, Told, slots_of
from triune.delivery.abtest.model import Absent, Fold, Metric, Source

Row = tuple[float, ...]


class Sum(msgspec.Struct, array_like=True):
    """The fold of a slot so far: events, of ``ANY`` those that are not 0, of ``LAST`` the last
    value and which one that was. ``parts`` add up to the ``SUM`` without any rounding (Shewchuk
    1997), so that it does not depend on the order in which its events came."""

    n: int = 0
    total: float = 0.0
    at: int = 0
    sequence: int = 0
    parts: list[float] = []


class Unit(msgspec.Struct, array_like=True):
    """All that is known of a unit. ``variant`` is None while it was not seen; ``before`` has the
    values from before its first exposure, one for each covariate."""

    sums: list[Sum]
    variant: str | None = None
    first: int = 0
    sequence: int = 0
    hopped: bool = False
    sightings: int = 0
    joined: int = 0
    early: int = 0
    outside: int = 0
    waiting: int = 0
    before: tuple[float, ...] | None = None
    segments: tuple[str, ...] = ()


class Standing(NamedTuple):
    """What a unit adds to the sums: its row in each metric, None where it is left out, and what is
    counted of it."""

    variant: str | None
    hopped: bool
    sightings: int
    joined: int
    early: int
    outside: int
    waiting: int
    rows: tuple[Row | None, ...]
    segments: tuple[str, ...] = ()


class Book:
    """Takes facts into units, for one test's metrics."""

    def __init__(self, metrics: Sequence[Metric], slots: Sequence[Slot]) -> None:
        self._metrics = tuple(metrics)
        self._slots = tuple(slots)
        place = {slot: at for at, slot in enumerate(self._slots)}
        self._places = [
            (place[value], None if below is None else place[below])
            for value, below in map(slots_of, self._metrics)
        ]
        names = [n for m in self._metrics for n in (m.covariate, m.covariate_denominator) if n]
        self.covariates = tuple(dict.fromkeys(names))

    def new(self) -> Unit:
        """A unit that nothing is known of."""
        return Unit([Sum() for _ in self._slots])

    def saw(self, unit: Unit, fact: Saw) -> bool:
        """Take an exposure. True: the unit's first exposure is another one now, so that its
        outcomes are to be taken anew (`again`)."""
        unit.sightings += 1
        for at, value in enumerate(fact.values):
            if value is not None:
                _add(unit.sums[at], self._slots[at].field.fold, value, fact.at, fact.sequence)
        if unit.variant is not None and unit.variant != fact.variant:
            unit.hopped = True
        if unit.variant is not None and (unit.first, unit.sequence) <= (fact.at, fact.sequence):
            return False
        moved = unit.variant is None or unit.first != fact.at
        unit.variant, unit.first, unit.sequence = fact.variant, fact.at, fact.sequence
        unit.segments = fact.segments
        if moved:
            unit.before = None
        return moved

    def told(self, unit: Unit, fact: Told) -> None:
        """Take an outcome that is the first of its key."""
        if unit.variant is None:
            unit.waiting += 1
            return
        if fact.at < unit.first:
            unit.early += 1
            return
        inside = False
        for at, value in enumerate(fact.values):
            slot = self._slots[at]
            if value is not None and fact.at < unit.first + slot.window_us:
                _add(unit.sums[at], slot.field.fold, value, fact.at, fact.sequence)
                inside = True
        if inside:
            unit.joined += 1
        else:
            unit.outside += 1

    def again(self, unit: Unit, facts: Sequence[Told]) -> None:
        """Take all outcomes of a unit anew: the last one of each key, in whatever order."""
        unit.joined = unit.early = unit.outside = unit.waiting = 0
        for at, slot in enumerate(self._slots):
            if slot.field.source is Source.OUTCOME:
                unit.sums[at] = Sum()
        for fact in sorted(facts, key=lambda one: (one.at, one.sequence)):
            self.told(unit, fact)

    def standing(self, unit: Unit) -> Standing:
        """What the unit adds to the sums now."""
        out = unit.variant is None or unit.hopped
        rows = tuple(
            None if out else self._row(unit, metric, *places)
            for metric, places in zip(self._metrics, self._places, strict=True)
        )
        return Standing(
            unit.variant,
            unit.hopped,
            unit.sightings,
            unit.joined,
            unit.early,
            unit.outside,
            unit.waiting,
            rows,
            unit.segments,
        )

    def _row(self, unit: Unit, metric: Metric, value: int, below: int | None) -> Row | None:
        deciding = unit.sums[value if below is None else below]
        if deciding.n == 0 and metric.absent is Absent.LEFT_OUT:
            return None
        denominator = 1.0 if below is None else self._folded(unit, below)
        before, before_denominator = self._before(unit, metric)
        return metric.row(self._folded(unit, value), denominator, before, before_denominator)

    def _before(self, unit: Unit, metric: Metric) -> tuple[float, float]:
        if metric.covariate is None or unit.before is None:
            return 0.0, 0.0
        found = dict(zip(self.covariates, unit.before, strict=True))
        below = metric.covariate_denominator
        return found[metric.covariate], 1.0 if below is None else found[below]

    def _folded(self, unit: Unit, at: int) -> float:
        found, fold = unit.sums[at], self._slots[at].field.fold
        if fold is Fold.COUNT:
            return float(found.n)
        if fold is Fold.SUM:
            return fsum(found.parts)
        return float(found.total > 0) if fold is Fold.ANY else found.total


def _add(found: Sum, fold: Fold, value: float, at: int, sequence: int) -> None:
    found.n += 1
    match fold:
        case Fold.SUM:
            _grow(found.parts, value)
        case Fold.ANY:
            found.total += value != 0.0
        case Fold.LAST:
            if (at, sequence) >= (found.at, found.sequence):
                found.total, found.at, found.sequence = value, at, sequence
        case Fold.COUNT:
            pass


def _grow(parts: list[float], value: float) -> None:
    """One more number in an exact sum."""
    kept = 0
    for part in parts:
        large, small = (value, part) if abs(value) >= abs(part) else (part, value)
        value = large + small
        lost = small - (value - large)
        if lost:
            parts[kept] = lost
            kept += 1
    parts[kept:] = [value]
