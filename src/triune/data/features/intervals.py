"""Which times of a view version were brought online, as the ledger tells it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from triune.data.features import events
from triune.data.features.ports import Log
from triune.data.features.views import View
from triune.ledger.ports import Query

Interval = tuple[datetime, datetime]

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Where an interval begins that has no beginning: Feast's must have one."""


def of_views(log: Log, views: Iterable[View]) -> dict[str, list[Interval]]:
    """Every materialisation of these versions since they were cleared, the oldest first, each
    interval once; by view."""
    known = {view.name: view for view in views}
    found: dict[str, dict[Interval, None]] = {name: {} for name in known}
    cleared = {name: cleared_at(log, view) for name, view in known.items()}
    for stored in log.select(Query(kind=events.MATERIALIZED)):
        told = stored.event.payload
        view = known.get(told["view"])
        if view is None or stored.sequence < cleared[view.name]:
            continue
        if view.version == told["version"]:
            start = datetime.fromisoformat(told["start"]) if told["start"] else BEGINNING
            found[told["view"]][start, datetime.fromisoformat(told["end"])] = None
    return {name: list(intervals) for name, intervals in found.items() if intervals}


def cleared_at(log: Log, view: View) -> int:
    """Where in the ledger the version's rows were last removed; 0 when they never were."""
    query = Query(kind=events.CLEARED, subject=view.ref, newest_first=True, limit=1)
    return next((stored.sequence for stored in log.select(query)), 0)
