"""Applying a topic: read, aggregate, write online, and only then say how far.

The online store itself holds how far each partition was applied (its *marks*), in the same atomic
step as the rows. So whatever is killed, consumer, broker or store, and even where the store has
lost its last second, rows and marks belong together: the state is built again from the messages
since the mark ``low``, without writing, and goes on at ``next``. Nothing is lost, nothing counted
twice. A second consumer of the same stream is found out by the marks, and steps back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from triune.core.errors import Conflict, TriuneError, Unavailable
from triune.data.features.online.ports import Place, Stored, moved
from triune.data.features.online.writer import packed
from triune.data.features.ports import Commits, Log
from triune.data.streams import events
from triune.data.streams.gauges import Gauges
from triune.data.streams.model import ADVANCE, Happened, Reason, Rejected, Spec, read
from triune.data.streams.ports import Broker, Message, Outgoing, Reader
from triune.data.streams.windows import Partition, Taken
from triune.ledger.ports import Query

POLL_SECONDS = 0.05
PAUSE_SECONDS = 0.5
LOW_SECONDS = 1.0
TELL_SECONDS = 60.0
IDLE_SECONDS = 1.0
_NEVER = -(1 << 62)


@dataclass
class _Place:
    """Where one partition stands.

    ``following`` is the next offset to apply, ``stored`` what the online store says of that,
    ``told`` the last offset that the ledger knows of. While ``building`` the messages before
    ``following`` are read again, and nothing is written.
    """

    state: Partition
    following: int
    stored: int | None
    told: int
    building: bool
    low_at: float = 0.0
    rejected: list[Outgoing] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)


class Consumer:
    """Applies one stream until told to stop; see `run`."""

    def __init__(
        self,
        spec: Spec,
        broker: Broker,
        place: Place,
        log: Log,
        *,
        partitions: int,
        workspace: str,
        commit: Commits,
        tell: Callable[[str], None],
    ) -> None:
        self.spec = spec
        self.gauges = Gauges(spec.name)
        self._broker = broker
        self._online = place
        self._log = log
        self._partitions = partitions
        self._workspace = workspace
        self._commit = commit
        self._tell = tell
        self._places: dict[int, _Place] = {}
        self._epoch: int | None = None

    def run(self, stop: threading.Event) -> None:
        """Apply messages as they come. What is away is waited for, and said."""
        while not stop.is_set():
            try:
                self._session(stop)
            except (Unavailable, Conflict) as error:
                self.gauges.state = error.reference
                self._tell(f"{self.spec.name}: {error.reference}: {error.message}")
                stop.wait(PAUSE_SECONDS)

    def _session(self, stop: threading.Event) -> None:
        """From the marks on, until stopped or something is away."""
        count = self._broker.ensure(self.spec.topic, self._partitions)
        self._broker.ensure(self.spec.dead, 1)
        reader = self._begin(count)
        try:
            self.gauges.state = "running"
            quiet_since = told_at = checked_at = time.monotonic()
            while not stop.is_set():
                messages = reader.poll(POLL_SECONDS)
                now = time.monotonic()
                if messages:
                    quiet_since = now
                for message in messages:
                    self._take(message)
                if self.spec.wall:
                    self._advance_to_now()
                self._apply(reader)
                idle = now - quiet_since >= IDLE_SECONDS
                if idle and now - checked_at >= IDLE_SECONDS:
                    self._check_marks()
                    checked_at = now
                if now - told_at >= TELL_SECONDS or (idle and self._untold()):
                    self._tell_ledger()
                    told_at = now
        finally:
            reader.close()
            self._tell_ledger_or_say()

    def _begin(self, count: int) -> Reader:
        marks = self._online.marks(self._workspace, self.spec.name)
        ends = self._broker.ends(self.spec.topic)
        offsets = {}
        told = self._told()
        self._epoch = marks.get("epoch")
        self._places = {}
        for number in range(count):
            first = ends.get(number, (0, 0))[0]
            stored = marks.get(f"{number}.next")
            following = max(stored if stored is not None else first, first)
            low = marks.get(f"{number}.low", following)
            offsets[number] = max(min(low, following), first)
            self._places[number] = _Place(
                Partition(self.spec, marks.get(f"{number}.low_watermark", _NEVER)),
                following,
                stored,
                told=min(told.get(number, first - 1), following - 1),
                building=offsets[number] < following,
            )
        return self._broker.read(self.spec.topic, offsets)

    def _take(self, message: Message) -> None:
        place = self._places[message.partition]
        if message.offset < place.following:
            self._result(message, place, again=True)
            if message.offset == place.following - 1:
                self._built(place)
            return
        if place.building:
            self._built(place)
        result = self._result(message, place, again=False)
        place.following = message.offset + 1
        self.gauges.results[result] += 1
        self.gauges.last_message = time.time()
        if result == Taken.APPLIED.name.lower():
            place.seen.append(message.time_ms)

    @staticmethod
    def _built(place: _Place) -> None:
        """The state is what it was at the mark: its rows are online already."""
        place.state.rows()
        place.building = False

    def _result(self, message: Message, place: _Place, *, again: bool) -> str:
        if ADVANCE in message.headers:
            place.state.advance(int(message.headers[ADVANCE]))
            return "advance"
        event = read(self.spec, message.value)
        if isinstance(event, Happened):
            taken = place.state.take(message.offset, event)
            if taken is not Taken.LATE:
                return taken.name.lower()
            event = Rejected(Reason.LATE, f"{event.time_us} at watermark {place.state.watermark}")
        if not again:
            place.rejected.append(_dead(message, event))
        return "dead"

    def _advance_to_now(self) -> None:
        for place in self._places.values():
            place.state.advance(time.time_ns() // 1_000)

    def _apply(self, reader: Reader) -> None:
        """Everything taken since the last time: dead letters first, then rows with marks."""
        for number, place in self._places.items():
            if place.building:
                continue
            if place.rejected:
                self._broker.send(self.spec.dead, place.rejected)
                place.rejected.clear()
            rows = list(packed(self.spec.layout, place.state.rows()))
            self._fail(place.state)
            if rows or place.following != (place.stored or 0):
                self._write(number, place, rows)
                reader.committed({number: place.following})

    def _fail(self, state: Partition) -> None:
        """Say that values are missing because their `transform` fails."""
        for what, count in state.failures.items():
            if not self.gauges.failed_values:
                self._tell(f"{self.spec.name}: values are missing, their transform fails: {what}")
            self.gauges.failed_values += count
        state.failures.clear()

    def _check_marks(self) -> None:
        """That nobody set the stream back, and the store did not lose its last writes, while
        nothing came."""
        marks = self._online.marks(self._workspace, self.spec.name)
        there = all(marks.get(f"{n}.next") == place.stored for n, place in self._places.items())
        if not there or marks.get("epoch") != self._epoch:
            raise moved(self.spec.name)

    def _write(self, number: int, place: _Place, rows: Sequence[Stored]) -> None:
        marks = {f"{number}.next": place.following}
        now = time.monotonic()
        if now - place.low_at >= LOW_SECONDS:
            kept = place.state.kept(place.following)
            marks |= {f"{number}.low": kept.offset, f"{number}.low_watermark": kept.watermark}
            place.low_at = now
        self.gauges.written += self._online.apply(
            self._workspace,
            self.spec.name,
            marks,
            rows,
            expect={f"{number}.next": place.stored, "epoch": self._epoch},
        )
        place.stored = place.following
        self._measure(place)

    def _measure(self, place: _Place) -> None:
        if place.state.watermark != _NEVER:
            self.gauges.watermark_us = max(place.state.watermark, self.gauges.watermark_us or 0)
        moment = time.time()
        for at in place.seen:
            self.gauges.took(max(0.0, moment - at / 1000))
        place.seen.clear()

    def look(self) -> None:
        """Bring the lag up to date. Raises `Unavailable` (``broker-unreachable``)."""
        for number, (_, end) in self._broker.ends(self.spec.topic).items():
            if number in self._places:
                self.gauges.lag[number] = max(0, end - (self._places[number].stored or 0))

    def _told(self) -> dict[int, int]:
        """By partition, the last offset that the ledger knows of."""
        found: dict[int, int] = {}
        for stored in self._log.select(Query(kind=events.CONSUMED)):
            payload = stored.event.payload
            if payload["stream"] == self.spec.name:
                found[payload["partition"]] = payload["last"]
        return found

    def _untold(self) -> bool:
        return any((place.stored or 0) - 1 > place.told for place in self._places.values())

    def _tell_ledger(self) -> None:
        """One event for all that was applied since the last one, of each partition."""
        if not self._untold():
            return
        commit = self._commit()
        new = {
            number: events.consumed(
                self.spec.name,
                number,
                place.told + 1,
                place.stored - 1,
                topic=self.spec.topic,
                view=f"features:{self.spec.layout.ref}",
                watermark_us=place.state.watermark,
                commit=commit.subject,
                workspace=self._workspace,
            )
            for number, place in self._places.items()
            if place.stored is not None and place.stored - 1 > place.told
        }
        self._log.record([commit, *new.values()])
        for number in new:
            self._places[number].told = (self._places[number].stored or 0) - 1

    def _tell_ledger_or_say(self) -> None:
        """At the end of a session: what cannot be told now is told by the next one."""
        try:
            self._tell_ledger()
        except TriuneError as error:
            self._tell(f"{self.spec.name}: not in the ledger yet: {error.message}")


def _dead(message: Message, why: Rejected) -> Outgoing:
    """A message as a dead letter: as it was, and why."""
    headers = {
        **message.headers,
        "triune-reason": why.reason.value.encode(),
        "triune-detail": why.detail.encode()[:1000],
        "triune-partition": str(message.partition).encode(),
        "triune-offset": str(message.offset).encode(),
        "triune-time": str(message.time_ms).encode(),
    }
    return Outgoing(message.value or b"", message.key, headers)
