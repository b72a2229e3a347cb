"""The stream: from the ledger's events to a test's sums, each event once and in constant time.

The sums, the units and the mark (how far the log is read) change in one transaction. Whatever is
killed when, the next reader goes on where that ended: nothing is lost, nothing counts twice.

Facts dated in the future wait until their time has come; exposures from outside the test's period
do not count, nor what came of predictions from outside of it. So the sums at a moment depend on the
facts of the log alone, not on when it was read.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

import msgspec

from triune.delivery.abtest.facts import ODD, Odd, Period, Reader, Saw, Told
from triune.delivery.abtest.ports import Before, Log, Sums
from triune.delivery.abtest.tally import Tally
from triune.delivery.abtest.units import Book, Standing, Unit
from triune.ledger.ports import Query, Stored

BATCH = 5_000
"""Events of one transaction."""

_pack = msgspec.msgpack.Encoder().encode
_saw = msgspec.msgpack.Decoder(Saw).decode
_told = msgspec.msgpack.Decoder(Told).decode
_SAW, _TOLD = b"s", b"t"


@dataclass(frozen=True, slots=True)
class Position:
    """How far the log is read: the last event of it (``mark``), how many exposures and outcomes
    were among them (``read``), and when (``now``, in microseconds since 1970).

    ``odd`` counts events that cannot be used (`facts.ODD`), ``future`` those whose time has not
    come, the last of them at ``future_until``; ``first_at`` is the earliest exposure, ``last_at``
    the latest one or the latest prediction of which the outcome is known.
    """

    mark: int = 0
    now: int = 0
    read: int = 0
    odd: dict[str, int] = field(default_factory=dict)
    future: int = 0
    future_until: int | None = None
    first_at: int | None = None
    last_at: int | None = None


class Stream:
    """Keeps one test's sums up to date. One at a time may `step`; any number may `look`."""

    def __init__(
        self,
        log: Log,
        reader: Reader,
        period: Period,
        sums: Sums,
        before: Before | None = None,
    ) -> None:
        self._log = log
        self._reader = reader
        self._period = period
        self._sums = sums
        self._before = before
        declared = reader.declaration
        self._book = Book(declared.metrics, reader.slots)
        self._none = [None] * len(declared.metrics)

    def _fresh(self) -> Tally:
        declared = self._reader.declaration
        return Tally(declared.metrics, declared.shares, declared.labels)

    def look(self) -> tuple[Tally, Position]:
        """The sums as they are kept now."""
        tally = self._fresh()
        kept, position = self._sums.facts("tally", "position")
        if kept is not None:
            tally.load(kept)
        return tally, Position(**position) if position is not None else Position()

    def catch_up(self, now: int, *, most: int | None = None) -> int:
        """Take everything that is in the log by now, or ``most`` events; how many were read.

        ``now``, in microseconds since 1970, decides which facts lie in the future.
        """
        done, top = 0, self._log.last_sequence()
        while most is None or done < most:
            size = BATCH if most is None else min(BATCH, most - done)
            read = self.step(now, top, size)
            done += read
            if read < size:
                break
        return done

    def step(self, now: int, top: int, size: int = BATCH) -> int:
        """One transaction: at most ``size`` events of the log up to ``top``; how many it were."""
        with self._sums.changing():
            tally, position = self.look()
            if self._outlived(position):
                self._sums.clear()
                tally, position = self.look()
            page = list(islice(self._events(position.mark, top), size))
            mark = page[-1].sequence if len(page) == size else max(top, position.mark)
            now = max(now, position.now)  # a clock that goes back takes nothing back
            work = _Work(self._book, self._sums, self._period, now)
            for raw in (fact for _, fact in self._sums.due(now)):
                work.take(_unpacked(raw))
            for stored in page:
                for fact in self._reader.facts(stored):
                    work.take(fact)
            work.finish(tally, self._before)
            after = work.position(position, mark, len(page))
            self._sums.keep({"tally": tally.to_json(), "position": msgspec.to_builtins(after)})
        return len(page)

    def _outlived(self, position: Position) -> bool:
        """Whether the sums hold something from past the period: its end was not known then."""
        until = self._period.until
        return until is not None and position.last_at is not None and position.last_at >= until

    def _events(self, after: int, top: int) -> Iterator[Stored]:
        kinds = [self._log.select(Query(kind=kind, after=after)) for kind in self._reader.kinds]
        found = heapq.merge(*kinds, key=lambda stored: stored.sequence)
        return takewhile(lambda stored: stored.sequence <= top, found)


class _Work:
    """What one transaction changes."""

    def __init__(self, book: Book, sums: Sums, period: Period, now: int) -> None:
        self._book = book
        self._sums = sums
        self._period = period
        self._now = now
        self._odd: Counter[str] = Counter()
        self._later: list[tuple[int, int, bytes]] = []
        self._facts: list[Saw | Told] = []
        self._first: int | None = None
        self._last: int | None = None

    def take(self, fact: Saw | Told | Odd) -> None:
        if isinstance(fact, Odd):
            self._odd[fact.why] += 1
        elif not self._period.counts(fact):
            return
        elif fact.at > self._now:
            self._later.append((fact.sequence, fact.at, _packed(fact)))
        else:
            self._facts.append(fact)

    def finish(self, tally: Tally, before: Before | None) -> None:
        """Work the facts into units, and the units into the sums."""
        self._sums.put_off(self._later)
        told = [fact for fact in self._facts if isinstance(fact, Told)]
        owners = self._sums.owners({fact.key for fact in told})
        names = {fact.unit for fact in self._facts} | set(owners.values())
        units = self._sums.units(names)
        old = {name: self._book.standing(unit) for name, unit in units.items()}
        anew: set[str] = set()
        for fact in self._facts:
            self._last = _most(self._last, fact.at if isinstance(fact, Saw) else fact.made)
            unit = units.setdefault(fact.unit, self._book.new())
            if isinstance(fact, Saw):
                self._see(unit, fact, anew)
            elif fact.key in owners:
                anew |= {owners[fact.key], fact.unit}
                owners[fact.key] = fact.unit
            else:
                self._book.told(unit, fact)
                owners[fact.key] = fact.unit
        self._sums.keep_outcomes(_last_of_each(told))
        for name in anew:
            self._book.again(units[name], self._sums.outcomes(name))
        self._look_back(units, before)
        self._sums.keep_units(units)
        for name, unit in units.items():
            _change(tally, old.get(name), self._book.standing(unit))

    def _see(self, unit: Unit, fact: Saw, anew: set[str]) -> None:
        if self._book.saw(unit, fact) and _has_outcomes(unit):
            anew.add(fact.unit)
        self._first = fact.at if self._first is None else min(self._first, fact.at)

    def _look_back(self, units: dict[str, Unit], before: Before | None) -> None:
        names = self._book.covariates
        if not names or before is None:
            return
        asked = {n: u.first for n, u in units.items() if u.variant is not None and u.before is None}
        if asked:
            for name, values in before(asked, names).items():
                units[name].before = values

    def position(self, known: Position, mark: int, read: int) -> Position:
        """Where the log is read to after this."""
        waiting, until = self._sums.put_off_until()
        odd = Counter(known.odd) + self._odd
        return Position(
            mark=mark,
            now=max(known.now, self._now),
            read=known.read + read,
            odd={why: odd[why] for why in ODD if odd[why]},
            future=waiting,
            future_until=until,
            first_at=_least(known.first_at, self._first),
            last_at=_most(known.last_at, self._last),
        )


def _change(tally: Tally, old: Standing | None, new: Standing) -> None:
    if old != new:
        tally.change(old, new)


def _has_outcomes(unit: Unit) -> bool:
    return unit.joined + unit.early + unit.outside + unit.waiting > 0


def _last_of_each(facts: Sequence[Told]) -> list[Told]:
    return list({fact.key: fact for fact in facts}.values())


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _most(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def _packed(fact: Saw | Told) -> bytes:
    return (_SAW if isinstance(fact, Saw) else _TOLD) + _pack(fact)


def _unpacked(raw: bytes) -> Any:
    return (_saw if raw[:1] == _SAW else _told)(raw[1:])
