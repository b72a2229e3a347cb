"""Cohorts: predictions of one stretch of time, judged once, when their outcomes are known. Pure.

A cohort is ready when its predictions have settled, each arm's coverage is enough and both match
(`triune.delivery.rollout.coverage`). One that only one arm was asked in is joined with its
neighbours. One that is not ready when the patience ends is given up, and why is counted. None lies
on both sides of a change of the candidate's weight (`triune.delivery.rollout.changes`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from triune.delivery.rollout.changes import Change, clipped
from triune.delivery.rollout.coverage import Cohort, Drift, matches, matching


class Drop(StrEnum):
    """Why a cohort was never judged."""

    LABELS = "too-few-labels"
    COVERAGE = "coverage-differs"
    ONE_ARM = "one-arm-only"
    CROWDED = "too-many-waiting"


DROPS: Mapping[Drop, str] = {
    Drop.LABELS: "The outcomes of one arm were not known when the patience ended.",
    Drop.COVERAGE: "One arm's outcomes were known more often than the other's.",
    Drop.ONE_ARM: "Only one arm was asked in the longest stretch of time that is compared.",
    Drop.CROWDED: "More cohorts waited for outcomes than are kept.",
}


@dataclass(frozen=True, slots=True)
class CohortRule:
    """How cohorts are cut and when one may be judged; times in seconds.

    Parameters
    ----------
    window_s: how long one is; neighbours are joined while one of them knows only one arm
    widest_s: how long a joined one may be for that
    settle_s: how long after its end its predictions are all in the ledger
    most_open: how many wait at most; beyond it the older half are joined by two
    """

    window_s: float = 10.0
    min_coverage: float = 0.8
    tolerance: float = 0.02
    patience_s: float = 86_400.0
    settle_s: float = 15.0
    widest_s: float = 300.0
    most_open: int = 256


@dataclass(frozen=True, slots=True)
class Dropped:
    """A cohort that was never judged, and why."""

    cohort: Cohort
    why: Drop


class Shelf(msgspec.Struct, frozen=True):
    """All cohorts between two looks.

    Those that wait are in the order of time and do not overlap. Before ``closed_us``, the end of
    the latest that was judged or given up, no new one begins. ``drift`` is of those gone that had
    enough labels. ``changes`` of the candidate's weight are in the order of time; only the last one
    may still go on.
    """

    waiting: tuple[Cohort, ...] = ()
    closed_us: int = 0
    drift: Drift = Drift()
    changes: tuple[Change, ...] = ()

    @property
    def changing(self) -> bool:
        """Whether the weight may still be changing."""
        return bool(self.changes) and self.changes[-1].done_us is None

    def change_begun(self, at_us: int) -> Shelf:
        """From now on the weight may change, until `change_done`; nothing new where it may already.

        The cohort of this moment ends here.
        """
        if self.changing:
            return self
        ended = (
            msgspec.structs.replace(c, end_us=at_us) if c.start_us < at_us < c.end_us else c
            for c in self.waiting
        )
        changes = (*self.changes, Change(at_us))
        return msgspec.structs.replace(self, waiting=tuple(ended), changes=changes)

    def change_done(self, at_us: int) -> Shelf:
        """The weight is what it should be; nothing new where it was so already."""
        if not self.changing:
            return self
        *before, last = self.changes
        done = Change(last.begun_us, max(last.begun_us, at_us))
        return msgspec.structs.replace(self, changes=(*before, done))


@dataclass(frozen=True, slots=True)
class Sorted:
    """Cohorts to judge now, those that are given up, and what remains."""

    ready: tuple[Cohort, ...]
    dropped: tuple[Dropped, ...]
    shelf: Shelf


def sort(shelf: Shelf, now_us: int, rule: CohortRule) -> Sorted:
    """What becomes of each cohort: they may be judged in any order, so none blocks another.

    None is judged before its predictions have settled, and each leaves the shelf for good once
    it is judged or given up.
    """
    settled_us = now_us - round(rule.settle_s * 1e6)
    ready, dropped, waiting = [], [], []
    cohorts = _joined(shelf, settled_us, rule)
    hindered = _hindered(cohorts, shelf.drift, settled_us, rule)
    for cohort, why in zip(cohorts, hindered, strict=True):
        if cohort.end_us > settled_us:
            waiting.append(cohort)
        elif why is None:
            ready.append(cohort)
        elif _hopeless(cohort, why, settled_us, now_us, rule):
            dropped.append(Dropped(cohort, why))
        else:
            waiting.append(cohort)
    decided = [*ready, *(one.cohort for one in dropped)]
    closed = msgspec.structs.replace(
        shelf, closed_us=max([shelf.closed_us, *(cohort.end_us for cohort in decided)])
    )
    kept = _bounded(waiting, closed, rule.most_open)
    crowded = kept[: max(0, len(kept) - rule.most_open)]
    dropped += [Dropped(cohort, Drop.CROWDED) for cohort in crowded]
    seen = ready + [gone.cohort for gone in dropped if gone.why is Drop.COVERAGE]
    left = msgspec.structs.replace(
        shelf,
        waiting=tuple(kept[len(crowded) :]),
        closed_us=max([closed.closed_us, *(cohort.end_us for cohort in crowded)]),
        drift=sum(map(Drift.of, seen), shelf.drift),
    )
    return Sorted(tuple(ready), tuple(dropped), left)


def _hindered(
    cohorts: list[Cohort], drift: Drift, settled_us: int, rule: CohortRule
) -> list[Drop | None]:
    """Why each cohort cannot be judged now; None for one that can."""
    found = [_hindrance(cohort, rule) for cohort in cohorts]
    settled = zip(cohorts, found, strict=True)
    enough = (c for c, why in settled if c.end_us <= settled_us and why in (None, Drop.COVERAGE))
    if matching(sum(map(Drift.of, enough), drift), rule.tolerance):
        return found
    return [why or Drop.COVERAGE for why in found]


def _hindrance(cohort: Cohort, rule: CohortRule) -> Drop | None:
    """Why a cohort cannot be judged by itself."""
    if cohort.one_arm:
        return Drop.ONE_ARM
    if min(cohort.a.coverage, cohort.b.coverage) < rule.min_coverage:
        return Drop.LABELS
    return None if matches(cohort, rule.tolerance) else Drop.COVERAGE


def _hopeless(cohort: Cohort, why: Drop, settled_us: int, now_us: int, rule: CohortRule) -> bool:
    """Whether waiting on cannot help: the patience is over, or no neighbour can be joined."""
    if cohort.end_us <= now_us - round(rule.patience_s * 1e6):
        return True
    return why is Drop.ONE_ARM and cohort.start_us + round(rule.widest_s * 1e6) <= settled_us


def _joined(shelf: Shelf, settled_us: int, rule: CohortRule) -> list[Cohort]:
    """Cohorts that have settled with one arm only, joined with those that follow."""
    widest_us = round(rule.widest_s * 1e6)
    found: list[Cohort] = []
    for cohort in shelf.waiting:
        last = found[-1] if found else None
        if (
            last is not None
            and last.one_arm
            and last.end_us <= settled_us
            and cohort.end_us - last.start_us <= widest_us
            and _neighbours(last, cohort, shelf)
        ):
            found[-1] = last.joined(cohort)
        else:
            found.append(cohort)
    return found


def _neighbours(one: Cohort, other: Cohort, shelf: Shelf) -> bool:
    """Whether nothing that was judged or given up lies between the two, nor a change."""
    if any(change.within(one.start_us, other.end_us) for change in shelf.changes):
        return False
    return one.end_us == other.start_us or shelf.closed_us <= one.end_us


def _bounded(cohorts: list[Cohort], shelf: Shelf, most: int) -> list[Cohort]:
    """At most so many, if joining neighbours of the older half by two can do it."""
    while len(cohorts) > most:
        half = len(cohorts) // 2 + 1
        older = _by_two(cohorts[:half], shelf)
        if len(older) == half:
            break
        cohorts = older + cohorts[half:]
    return cohorts


def _by_two(cohorts: list[Cohort], shelf: Shelf) -> list[Cohort]:
    found: list[Cohort] = []
    single = False  # whether the last one found can take a neighbour
    for cohort in cohorts:
        if single and _neighbours(found[-1], cohort, shelf):
            found[-1], single = found[-1].joined(cohort), False
        else:
            found.append(cohort)
            single = True
    return found


class Windows:
    """A shelf's cohorts to count on, found by the time of a request."""

    def __init__(self, shelf: Shelf, window_s: float) -> None:
        self._cohorts = [cohort.copy() for cohort in shelf.waiting]
        self._starts = [cohort.start_us for cohort in shelf.waiting]
        self._closed_us = shelf.closed_us
        self._changes = shelf.changes
        self._window_us = max(1, round(window_s * 1e6))

    @property
    def waiting(self) -> tuple[Cohort, ...]:
        """All of them, in the order of time."""
        return tuple(self._cohorts)

    def find(self, time_us: int) -> Cohort | None:
        """The cohort of this moment, if there is one."""
        place = bisect_right(self._starts, time_us) - 1
        if place >= 0 and time_us < self._cohorts[place].end_us:
            return self._cohorts[place]
        return None

    def changing(self, time_us: int) -> bool:
        """Whether the candidate's weight may have changed at this moment."""
        return any(change.during(time_us) for change in self._changes)

    def begin(self, time_us: int) -> Cohort | None:
        """The cohort of this moment, in which no weight changes; a new one if need be, None for a
        moment that is closed."""
        found = self.find(time_us)
        if found is not None or time_us < self._closed_us:
            return found
        start = time_us // self._window_us * self._window_us
        start, end = clipped(self._changes, time_us, start, start + self._window_us)
        place = bisect_right(self._starts, start)
        new = Cohort(start, end)
        self._cohorts.insert(place, new)
        self._starts.insert(place, start)
        return new
