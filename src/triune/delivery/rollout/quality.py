"""Model quality from outcomes that become known late: read from the ledger, judged by cohort.

A ``prediction.served`` counts in the cohort of its request's time, an ``outcome.observed`` in that
of its prediction. The label of a prediction is its last outcome before its cohort is judged; later
ones change nothing. Predictions made while the candidate's weight changed do not count. When a
cohort may be judged is in `triune.delivery.rollout.cohorts`.

What an event does to the counts depends only on the events before it in the log and on which
cohorts wait, never on what a reader has seen: one that goes on from a state, in this process or
another, comes to the same counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import NamedTuple, Protocol

import msgspec

from triune.delivery.rollout.cohorts import Drop, Dropped, Shelf, Sorted, Windows, sort
from triune.delivery.rollout.coverage import Cohort, Count
from triune.delivery.rollout.labels import Label, QualityRule, Side, label_of
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

__all__ = [
    "QualityLook",
    "QualityReader",
    "QualityRule",
    "QualityState",
    "Side",
    "begin",
]

SERVED = "prediction.served"
OBSERVED = "outcome.observed"
MOST_AT_ONCE = 50_000
"""Events of the log that one look goes through."""
MOST_REMEMBERED = 50_000
"""Predictions without an outcome that are kept in memory; others are asked from the ledger."""
_PAGE = 500
_SLACK_US = 60_000_000
"""How far the clocks of a model server and the gateway may be apart."""
_VERSION, _TIME = slice(25, 26), slice(11, 24)
"""Where in ``prediction:<id>`` a UUID has its version, and a UUIDv7 its milliseconds."""


class Outcomes(Protocol):
    """The part of the ledger that is read."""

    def select(self, query: Query) -> Iterator[Stored]:
        """Events that match, in the order of the log."""
        ...

    def about(self, refs: Sequence[str], kinds: Sequence[str]) -> list[Stored]:
        """Events of these kinds whose subject is one of these references, in the log's order."""
        ...


class QualityState(msgspec.Struct, frozen=True):
    """All that is known at the end of a look; it reads back from JSON as it was written.

    ``after`` is the sequence up to which the log is read. Predictions count from ``started_us``
    on. ``a`` and ``b`` sum up the judged cohorts. ``late`` predictions and outcomes came after
    their cohort was judged or given up (those long after it are not counted); ``unusable`` outcomes
    have no number to compare.
    """

    started_us: int
    after: int
    shelf: Shelf = Shelf()
    judged: int = 0
    a: Count = msgspec.field(default_factory=Count)
    b: Count = msgspec.field(default_factory=Count)
    dropped: Mapping[Drop, int] = {}
    late: int = 0
    unusable: int = 0

    @property
    def changing(self) -> bool:
        """Whether the candidate's weight may still be changing."""
        return self.shelf.changing

    def change_begun(self, at_us: int) -> QualityState:
        """From this time on the candidate's weight may change, until `change_done`.

        No cohort lies on both sides of it. Make it durable before the weight changes.
        """
        return msgspec.structs.replace(self, shelf=self.shelf.change_begun(at_us))

    def change_done(self, at_us: int) -> QualityState:
        """From this time on all requests are split by the new weight."""
        return msgspec.structs.replace(self, shelf=self.shelf.change_done(at_us))


def begin(log: Outcomes, now_us: int) -> QualityState:
    """A state that counts the predictions made from now on."""
    return QualityState(now_us, _newest(log))


@dataclass(frozen=True, slots=True)
class QualityLook:
    """Cohorts to judge now, those given up now, and the state after."""

    ready: tuple[Cohort, ...]
    dropped: tuple[Dropped, ...]
    state: QualityState

    @property
    def counts(self) -> list[tuple[int, int, int, int]]:
        """The rows for the harm kernel: labelled and wrong of both arms, for each ready cohort."""
        return [cohort.counts for cohort in self.ready]


class _Made(NamedTuple):
    """A prediction of one of the two arms, as the log tells of it."""

    sequence: int
    time_us: int
    candidate: bool


class _Look:
    """What one look counts, from the state before it."""

    def __init__(self, rule: QualityRule, state: QualityState, top: int) -> None:
        self.state = state
        self.top = top
        self._rule = rule
        self._windows = Windows(state.shelf, rule.cohorts.window_s)
        self._late = 0
        self.unusable = 0
        oldest = min([state.shelf.closed_us, *(c.start_us for c in state.shelf.waiting[:1])])
        self._too_old = _milliseconds(max(oldest, state.started_us) - _SLACK_US)

    def made(self, stored: Stored) -> _Made | None:
        """A served prediction of one of the two arms, made since the start at a known weight."""
        event, rule = stored.event, self._rule
        candidate = rule.candidate.gave(event)
        if event.time < self.state.started_us or not (candidate or rule.control.gave(event)):
            return None
        if self._windows.changing(event.time):
            return None
        return _Made(stored.sequence, event.time, candidate)

    def served(self, stored: Stored) -> _Made | None:
        """Count a served prediction; None when it is none of ours, or late."""
        made = self.made(stored)
        if made is None:
            return None
        cohort = self._windows.begin(made.time_us)
        if cohort is None:
            self._late += 1
            return None
        _side(cohort, made).served += 1
        return made

    def concerns(self, event: Event) -> bool:
        """Whether an outcome may be of a prediction in a cohort that waits.

        Most others are told by the endpoint or by the age that a UUIDv7 has in itself.
        """
        if event.payload.get("endpoint", self._rule.endpoint) != self._rule.endpoint:
            return False
        ref = event.subject
        return ref[_VERSION] != "7" or ref[_TIME] >= self._too_old

    def label(self, made: _Made, label: Label, before: Label | None) -> None:
        """Count a prediction's label, in place of the one it had before."""
        cohort = self._windows.find(made.time_us)
        if cohort is None:
            self._late += 1
            return
        count = _side(cohort, made)
        if before is None:
            count.labelled += 1
            before = Label(0, 0.0)
        count.wrong += label.wrong - before.wrong
        count.squares += label.square - before.square

    def relabel(self, history: Sequence[Stored], sequence: int, label: Label) -> None:
        """Count an outcome by what the ledger knows of its prediction.

        One that was told before its prediction was counts when that is read (`last_label`).
        """
        served = next((s for s in history if s.event.kind == SERVED), None)
        made = self.made(served) if served and served.sequence < sequence else None
        if made is not None:
            self.label(made, label, self.last_label(history, sequence))

    def last_label(self, history: Sequence[Stored], before: int) -> Label | None:
        """The label of the last usable outcome before a place in the log."""
        outcomes = [s for s in history if s.event.kind == OBSERVED and s.sequence < before]
        labels = (label_of(s.event.payload, self._rule) for s in reversed(outcomes))
        return next((label for label in labels if label is not None), None)

    def end(self, now_us: int, *, judge: bool) -> QualityLook:
        """The state after; with cohorts judged and given up, if it is time to."""
        before = self.state
        shelf = msgspec.structs.replace(before.shelf, waiting=self._windows.waiting)
        found = sort(shelf, now_us, self._rule.cohorts) if judge else Sorted((), (), shelf)
        dropped = Counter(before.dropped)
        dropped.update(gone.why for gone in found.dropped)
        state = msgspec.structs.replace(
            before,
            after=self.top,
            shelf=found.shelf,
            judged=before.judged + len(found.ready),
            a=sum((cohort.a for cohort in found.ready), before.a),
            b=sum((cohort.b for cohort in found.ready), before.b),
            dropped=dict(dropped),
            late=before.late + self._late,
            unusable=before.unusable + self.unusable,
        )
        return QualityLook(found.ready, found.dropped, state)


def _side(cohort: Cohort, made: _Made) -> Count:
    return cohort.b if made.candidate else cohort.a


def _milliseconds(time_us: int) -> str:
    """The beginning of a UUIDv7 of this time."""
    text = f"{max(0, time_us) // 1000:012x}"
    return f"{text[:8]}-{text[8:]}"


class QualityReader:
    """Reads outcomes look by look. Cheap to make; one for each rollout."""

    def __init__(self, log: Outcomes, rule: QualityRule) -> None:
        self._log = log
        self._rule = rule
        self._unlabelled: dict[str, _Made] = {}
        self._sweep_at = _PAGE
        self._last: QualityState | None = None

    def look(self, state: QualityState, now_us: int) -> QualityLook:
        """What has become known since the state was made.

        Reads at most `MOST_AT_ONCE` events; only when none is left over are cohorts judged. A
        reader that is given another state than it returned last goes on from that one. While the
        weight may be changing nothing is read: which predictions count is known when that is done.
        Raises what the ledger raises; then nothing has happened.
        """
        if state.changing:
            return QualityLook((), (), state)
        if state is not self._last and state != self._last:
            self._unlabelled.clear()
        self._last = None
        newest = _newest(self._log)
        work = _Look(self._rule, state, min(newest, state.after + MOST_AT_ONCE))
        self._read_served(work)
        self._read_outcomes(work)
        look = work.end(now_us, judge=work.top == newest)
        if len(self._unlabelled) > self._sweep_at:
            self._forget(look.state.shelf)
        self._last = look.state
        return look

    def _read_served(self, work: _Look) -> None:
        for page in self._pages(SERVED, work):
            mine = {s.event.subject: made for s in page if (made := work.served(s))}
            early = _by_subject(self._log.about(list(mine), [OBSERVED])) if mine else {}
            for ref, made in mine.items():
                label = work.last_label(early.get(ref, ()), made.sequence)
                if label is None:
                    self._unlabelled[ref] = made
                else:
                    work.label(made, label, None)
        while len(self._unlabelled) > MOST_REMEMBERED:
            del self._unlabelled[next(iter(self._unlabelled))]

    def _read_outcomes(self, work: _Look) -> None:
        for page in self._pages(OBSERVED, work):
            mine = [s for s in page if work.concerns(s.event)]
            often = {ref for ref, n in Counter(s.event.subject for s in mine).items() if n > 1}
            asked = list(
                {r for s in mine if (r := s.event.subject) not in self._unlabelled} | often
            )
            history = _by_subject(self._log.about(asked, [SERVED, OBSERVED])) if asked else {}
            for stored in mine:
                label = label_of(stored.event.payload, self._rule)
                made = self._unlabelled.get(stored.event.subject)
                if label is None:
                    work.unusable += 1
                elif made is not None and stored.event.subject not in often:
                    del self._unlabelled[stored.event.subject]
                    work.label(made, label, None)
                else:
                    self._unlabelled.pop(stored.event.subject, None)
                    work.relabel(history[stored.event.subject], stored.sequence, label)

    def _pages(self, kind: str, work: _Look) -> Iterator[list[Stored]]:
        events = self._log.select(Query(kind=kind, after=work.state.after))
        events = takewhile(lambda stored: stored.sequence <= work.top, events)
        while page := list(islice(events, _PAGE)):
            yield page

    def _forget(self, shelf: Shelf) -> None:
        """Of cohorts that are gone nothing needs to be remembered."""
        windows = Windows(shelf, self._rule.cohorts.window_s)
        self._unlabelled = {
            ref: made for ref, made in self._unlabelled.items() if windows.find(made.time_us)
        }
        self._sweep_at = 2 * len(self._unlabelled) + _PAGE


def _newest(log: Outcomes) -> int:
    newest = next(iter(log.select(Query(newest_first=True, limit=1))), None)
    return newest.sequence if newest else 0


def _by_subject(events: Sequence[Stored]) -> dict[str, list[Stored]]:
    found: dict[str, list[Stored]] = {}
    for stored in events:
        found.setdefault(stored.event.subject, []).append(stored)
    return found
