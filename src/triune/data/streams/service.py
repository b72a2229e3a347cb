"""The use cases of streams: publish, look, advance, replay, dead letters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from triune.core import entrypoints
from triune.core.errors import Conflict, NotFound, Refused
from triune.core.files import read_json
from triune.core.mistakes import closest
from triune.core.stream_config import StreamTable
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.data.features.ports import Log
from triune.data.features.service import Features
from triune.data.streams import events
from triune.data.streams.compile import compiled
from triune.data.streams.model import ADVANCE, Happened, Spec, microseconds, read
from triune.data.streams.ports import Broker, Message, Outgoing

AT_ONCE = 1_000
FRESH_SECONDS = 5.0
OnProgress = Callable[[int], None]


def _silent(_: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How a stream stands.

    Attributes
    ----------
    running: whether a consumer has said something within the last seconds
    lag: messages that are not applied yet, by partition
    watermark: the event time up to which values are settled
    results: messages by what became of them, since the consumer started
    """

    name: str
    topic: str
    view: str
    running: bool
    state: str
    lag: Mapping[int, int]
    watermark: datetime | None
    results: Mapping[str, int]
    dead: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay set back: offsets by partition, and rows removed (None: not done yet)."""

    stream: str
    offsets: Mapping[int, int]
    cleared: int | None


class Streams:
    """The streams of one workspace."""

    def __init__(self, workspace: Workspace, features: Features, broker: Broker, log: Log) -> None:
        self._workspace = workspace
        self._features = features
        self._broker = broker
        self._log = log
        self._sent: dict[str, dict[int, int]] = {}

    def names(self) -> list[str]:
        """The streams that ``triune.toml`` declares."""
        return list(self._workspace.config.streams)

    def table(self, name: str) -> StreamTable:
        """What ``triune.toml`` says of a stream. Raises `NotFound` (``stream-unknown``)."""
        tables = self._workspace.config.streams
        if name not in tables:
            raise NotFound(
                "stream-unknown",
                f"there is no stream {name!r}",
                context=str(self._workspace.root),
                hint=closest(name, tables),
            )
        return tables[name]

    def spec(self, name: str) -> Spec:
        """A stream, ready to be applied to the version of its view that is applied now.

        Raises
        ------
        NotFound: ``stream-unknown``, ``feature-view-unknown``, ``features-not-applied``.
        ConfigError: the table and the view do not fit.
        """
        table = self.table(name)
        (view,) = self._features.catalog.find([table.view])
        code = self._workspace.root / self._workspace.config.workspace.code
        return compiled(name, table, view, code)

    def publish(
        self,
        name: str,
        happened: Iterable[Mapping[str, Any]] | None = None,
        *,
        after: datetime | None = None,
        until: datetime | None = None,
        on_progress: OnProgress = _silent,
    ) -> int:
        """Send events to the topic, the recorded ones by default; returns how many.

        Only those with a time after ``after`` and up to ``until`` are sent. Every event is read
        first, as the consumer will.

        Raises
        ------
        Refused: (``event-invalid``) naming the event; those before it were sent.
        NotFound: (``stream-has-no-recording``).
        Unavailable: (``broker-unreachable``).
        """
        spec, sent = self.spec(name), 0
        source = self.recorded(name, after, until) if happened is None else happened
        low = microseconds(after) if after else None
        high = microseconds(until) if until else None
        self._broker.ensure(spec.topic, self.table(name).partitions)
        wanted = _between(spec, source, low, high)
        while some := list(islice(wanted, AT_ONCE)):
            self._send(spec.topic, some)
            sent += len(some)
            on_progress(sent)
        return sent

    def recorded(
        self, name: str, after: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """The recorded events of a stream in that time, in the order of their times."""
        table = self.table(name)
        if table.recorded is None:
            raise NotFound(
                "stream-has-no-recording",
                f"streams.{name} names no recorded events",
                context=str(self._workspace.root),
                hint=f"Set streams.{name}.recorded, or give a file of events.",
            )
        code = self._workspace.root / self._workspace.config.workspace.code
        function = entrypoints.load(table.recorded, code)
        yield from function(self._workspace.root, after, until)

    def advance(self, name: str, to: datetime) -> None:
        """Say that it is so late: windows that have ended by then are closed."""
        spec = self.spec(name)
        count = self._broker.ensure(spec.topic, self.table(name).partitions)
        headers = {ADVANCE: str(microseconds(to)).encode()}
        self._send(spec.topic, [Outgoing(b"", None, headers, number) for number in range(count)])

    def _send(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Send, and remember how far the topic reaches: the broker may tell it a little later."""
        self._sent[topic] = self._sent.get(topic, {}) | self._broker.send(topic, messages)

    def settle(self, name: str, *, timeout: float = 60.0) -> None:
        """Wait until all that the topic holds now is applied.

        Raises
        ------
        Unavailable: (``wait-timed-out``).
        """
        spec = self.spec(name)
        ends = {number: end for number, (_, end) in self._broker.ends(spec.topic).items()}
        for number, end in self._sent.get(spec.topic, {}).items():
            ends[number] = max(ends.get(number, 0), end)
        project = self._workspace.name

        def applied() -> bool:
            marks = self._features.place.marks(project, name)
            return all(marks.get(f"{number}.next", 0) >= end for number, end in ends.items())

        wait_until(
            applied,
            timeout=timeout,
            what=f"stream {name} is applied up to its end",
            hint="`triune streams status` shows how far it is, `triune logs streams` why.",
        )

    def status(self, name: str) -> StreamStatus:
        """How a stream stands; asks the broker and the online store."""
        table = self.table(name)
        marks = self._features.place.marks(self._workspace.name, name)
        ends = self._broker.ends(table.topic)
        told = read_json(self._workspace.state / "streams" / f"{name}.json") or {}
        running = time.time() - told.get("at", 0.0) < FRESH_SECONDS
        watermark = told.get("watermark_us")
        dead = sum(end - first for first, end in self._broker.ends(f"{table.topic}.dead").values())
        return StreamStatus(
            name=name,
            topic=table.topic,
            view=table.view,
            running=running,
            state=told.get("state", "never started") if running else "not running",
            lag={
                n: max(0, end - max(first, marks.get(f"{n}.next", first)))
                for n, (first, end) in ends.items()
            },
            watermark=_moment(watermark) if watermark is not None else None,
            results=told.get("results", {}),
            dead=dead,
        )

    def replay(
        self,
        name: str,
        *,
        start: datetime | None = None,
        latest: bool = False,
        keep_rows: bool = False,
        dry_run: bool = False,
    ) -> Replay:
        """Apply a topic again, from events of ``start`` on, or from its beginning; with ``latest``
        leave all that it holds aside and begin anew with what comes.

        The view's rows are removed first, since an older row never replaces a newer one. A
        consumer that runs finds its marks moved, and begins there.

        Raises
        ------
        Conflict: (``stream-empty``) the topic holds nothing.
        """
        spec = self.spec(name)
        offsets = self._offsets(spec, start, latest=latest)
        if dry_run:
            return Replay(name, offsets, None)
        cleared = 0 if keep_rows else self._features.clear([spec.layout.view])[spec.layout.view]
        place, project = self._features.place, self._workspace.name
        place.forget(project, name)
        marks = {"epoch": time.time_ns() // 1_000}
        marks |= {f"{number}.next": offset for number, offset in offsets.items()}
        marks |= {f"{number}.low": offset for number, offset in offsets.items()}
        place.apply(project, name, marks, [], expect={})
        self._log.record(
            [events.replayed(name, dict(offsets), cleared, workspace=self._workspace.name)]
        )
        return Replay(name, offsets, cleared)

    def _offsets(self, spec: Spec, start: datetime | None, *, latest: bool) -> dict[int, int]:
        ends = self._broker.ends(spec.topic)
        if not ends:
            raise Conflict(
                "stream-empty",
                f"topic {spec.topic} does not exist yet",
                hint=f"`triune streams publish {spec.name}` sends events to it.",
            )
        if latest:
            return {number: end for number, (_, end) in ends.items()}
        if start is None:
            return {number: first for number, (first, _) in ends.items()}
        wanted = microseconds(start)
        found = {number: end for number, (_, end) in ends.items()}
        for message in self._all(spec.topic):
            event = read(spec, message.value)
            if isinstance(event, Happened) and event.time_us >= wanted:
                found[message.partition] = min(found[message.partition], message.offset)
        return found

    def tail(self, name: str, *, dead: bool = False, newest: int = 20) -> list[Message]:
        """The newest messages of a topic, or of its dead letters."""
        table = self.table(name)
        topic = f"{table.topic}.dead" if dead else table.topic
        ends = self._broker.ends(topic)
        begin = {n: max(first, end - newest) for n, (first, end) in ends.items()}
        return list(self._all(topic, begin))[-newest:]

    def redrive(self, name: str, *, dry_run: bool = False) -> int:
        """Send every dead letter to the topic again, once; returns how many.

        A dead letter that was sent before is not sent again; one that cannot be used becomes
        another dead letter.
        """
        table = self.table(name)
        topic = f"{table.topic}.dead"
        letters = {_origin(m): m for m in self._all(topic)}  # a replay makes letters twice
        again = {m.headers.get("triune-redriven", b"") for m in self._all(table.topic)}
        wanted = [m for origin, m in letters.items() if origin not in again]
        if not dry_run:
            self._broker.send(
                table.topic,
                [Outgoing(m.value or b"", m.key, {"triune-redriven": _origin(m)}) for m in wanted],
            )
        return len(wanted)

    def _all(self, topic: str, begin: Mapping[int, int] | None = None) -> Iterator[Message]:
        """Every message from the given offsets up to what is the end now."""
        ends = self._broker.ends(topic)
        first = {n: (begin or {}).get(n, low) for n, (low, _) in ends.items()}
        left = {n for n, (_, end) in ends.items() if end > first[n]}
        if not left:
            return
        reader = self._broker.read(topic, {n: first[n] for n in left})
        until = time.monotonic() + FRESH_SECONDS
        try:
            while left:
                messages = reader.poll(0.2)
                if messages:
                    until = time.monotonic() + FRESH_SECONDS
                elif time.monotonic() > until:
                    return
                for message in messages:
                    if message.partition in left:
                        yield message
                        if message.offset + 1 >= ends[message.partition][1]:
                            left.discard(message.partition)
        finally:
            reader.close()

    def close(self) -> None:
        """Give back connections."""
        self._broker.close()


def _between(
    spec: Spec, source: Iterable[Mapping[str, Any]], low: int | None, high: int | None
) -> Iterator[Outgoing]:
    for number, one in enumerate(source):
        value = json.dumps(dict(one), default=str).encode()
        event = read(spec, value)
        if not isinstance(event, Happened):
            raise Refused(
                "event-invalid",
                f"event {number + 1} is no event of stream {spec.name!r}: "
                f"{event.reason.sentence} ({event.detail})",
                context=value.decode()[:200],
                hint=f"It takes {', '.join(f'{n} ({k.value})' for n, k in spec.fields.items())}.",
            )
        if (low is None or event.time_us > low) and (high is None or event.time_us <= high):
            key = "|".join(map(str, event.entity)).encode()
            yield Outgoing(value, key)


def _origin(letter: Message) -> bytes:
    """Where a dead letter came from, as one word."""
    partition = letter.headers.get("triune-partition", b"")
    return partition + b":" + letter.headers.get("triune-offset", b"")


def _moment(us: int) -> datetime:
    from datetime import UTC

    return datetime.fromtimestamp(us / 1e6, UTC)
