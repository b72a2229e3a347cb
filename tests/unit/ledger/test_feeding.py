"""What wrote the features that a prediction was made with."""

from __future__ import annotations

from typing import Any

from triune.ledger.envelope import Edge, Event, event
from triune.ledger.feeding import newest
from triune.ledger.service import Ledger

VIEW, OTHER = "features:a@1", "features:b@1"


def _wrote(kind: str, ref: str, view: str, **payload: Any) -> Event:
    return event(kind, ref, workspace="w", payload=payload, edges=(Edge(ref, view, "features"),))


def _materialized(number: int, view: str = VIEW) -> Event:
    return _wrote("features.materialized", f"materialisation:{number}", view)


def _consumed(number: int, partition: int = 0) -> Event:
    ref = f"stream:s/{partition}@{number}-{number}"
    return _wrote("stream.consumed", ref, VIEW, stream="s", partition=partition)


def _made(ref: str, kind: str, *parents: str) -> Event:
    edges = tuple(Edge(ref, parent, parent.partition(":")[0]) for parent in parents)
    return event(kind, ref, workspace="w", edges=edges)


def test_only_what_was_written_to_its_views_before_it_and_the_next_range_fed_a_prediction(
    ledger: Ledger,
) -> None:
    events = [
        _made("release:e@1", "release.created", VIEW),
        _materialized(1),
        _materialized(2, OTHER),
        _consumed(1),
        _made("prediction:1", "prediction.served", "release:e@1"),
        _consumed(2),
        _consumed(3),
        _materialized(3),
    ]
    ledger.record(events)
    subjects = [one.subject for one in ledger.fed_by("prediction:1")]
    assert subjects == ["materialisation:1", "stream:s/0@1-1", "stream:s/0@2-2"]


def test_the_newest_of_each_view_and_partition_are_kept() -> None:
    events = [_materialized(1), _materialized(2, OTHER), _consumed(1), _consumed(1, 1),
              _materialized(3), _consumed(2)]  # fmt: skip
    assert [one.subject for one in newest(events)] == [
        *("materialisation:2", "stream:s/1@1-1", "materialisation:3", "stream:s/0@2-2"),
    ]
