"""What became of data, features and backups meanwhile, as the ledger tells it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from triune.app.report.model import DataView
from triune.core.ids import key_of
from triune.ledger.envelope import Event
from triune.ledger.reading import unseen

Told = Iterator[DataView]


def rows(events: Iterable[Event]) -> tuple[DataView, ...]:
    """A row for each thing, in the order of `WRITERS`, then of time; what happened to one thing
    again and again is one row, with how it stood last."""
    order = list(WRITERS)
    known = sorted(
        (event for event in events if event.kind in WRITERS),
        key=lambda event: (order.index(event.kind), event.time),
    )
    return tuple(
        row
        for kind, told in groupby(known, key=lambda event: event.kind)
        for row in WRITERS[kind](list(told))
    )


def _by(events: list[Event], key: Callable[[Event], str]) -> Iterator[list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(key(event), []).append(event)
    yield from found.values()


def _subject(event: Event) -> str:
    return event.subject


def _row(last: Event, what: str, which: str, words: str, good: bool | None = None) -> DataView:
    return DataView(what, which, last.at, words, good)


def _versions(events: list[Event]) -> Told:
    for *_, last in _by(events, _subject):
        told = last.payload
        size = f", {told['bytes'] / 1e6:,.1f} MB" if "bytes" in told else ""
        words = f"{told['count']:,} files{size}" if "count" in told else "recorded"
        yield _row(last, "dataset version", last.subject, words)


def _checks(events: list[Event]) -> Told:
    for *_, last in _by(events, _subject):
        told = last.payload
        words = f"{told['verdict']}: {told['rows']:,} rows in {told['files']} files"
        broken = "; ".join(told["failures"][:3])
        words += f"; {broken}" if broken else ""
        yield _row(last, "checked", last.subject, words, told["verdict"] == "pass")


def _stages(events: list[Event]) -> Told:
    for *_, last in _by(events, lambda event: str(event.payload["name"])):
        told, gaps = last.payload, unseen(last)
        words = f"{told['state']}, {told['seconds']:.1f} s"
        words += f"; {len(gaps)} reads that nothing records" if gaps else ""
        yield _row(last, "stage", last.subject, words, False if gaps else None)


def _views(events: list[Event]) -> Told:
    for *_, last in _by(events, _subject):
        words = "; ".join(last.payload.get("changes", ())) or "applied"
        yield _row(last, "feature view", last.subject, words)


def _online(events: list[Event]) -> Told:
    for told in _by(events, lambda event: f"{event.payload['view']}@{event.payload['version']}"):
        last, written = told[-1], sum(event.payload["written"] for event in told)
        which = f"{last.payload['view']}@{last.payload['version']}"
        words = f"{written:,} rows in {len(told)} goes, up to {last.payload['end'][:16]}"
        yield _row(last, "brought online", which, words)


def _streams(events: list[Event]) -> Told:
    for told in _by(events, lambda event: str(event.payload["stream"])):
        last = told[-1]
        count = sum(event.payload["last"] - event.payload["first"] + 1 for event in told)
        parts = len({event.payload["partition"] for event in told})
        words = f"{count:,} messages of {parts} partitions of {last.payload['topic']}"
        yield _row(last, "stream", str(last.payload["stream"]), words)


def _backups(events: list[Event]) -> Told:
    for *_, last in _by(events, _subject):
        yield _row(last, "backup", key_of(last.subject), f"{last.payload['files']:,} files")


def _drills(events: list[Event]) -> Told:
    for *_, last in _by(events, _subject):
        told = last.payload
        words = f"{told['verdict']}: {told['words']}"
        yield _row(
            last, "restored to prove it", key_of(last.subject), words, told["verdict"] == "pass"
        )


def _flags(events: list[Event]) -> Told:
    for told in _by(events, _subject):
        last, times = told[-1], f", changed {len(told)} times" if len(told) > 1 else ""
        words = f"{last.payload['action']} by {last.actor}{times}: {last.payload['reason']}"
        yield _row(last, "flag", key_of(last.subject), words)


WRITERS: dict[str, Callable[[list[Event]], Told]] = {
    "dataset.versioned": _versions,
    "dataset.checked": _checks,
    "stage.finished": _stages,
    "feature_view.applied": _views,
    "features.materialized": _online,
    "stream.consumed": _streams,
    "flag.changed": _flags,
    "backup.made": _backups,
    "backup.drilled": _drills,
}
"""How each kind of event becomes rows."""
