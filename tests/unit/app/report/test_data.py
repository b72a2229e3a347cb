"""Data, features and backups in a report: one row for each thing, with how it stood last."""

from __future__ import annotations

from datetime import UTC, datetime

from triune.app.report.data import WRITERS, rows
from triune.ledger.envelope import Event, event

AT = datetime(2026, 3, 1, tzinfo=UTC)


def told(kind: str, subject: str, second: int, **payload: object) -> Event:
    return event(kind, subject, workspace="w", at=AT.replace(second=second), payload=payload)


def test_each_thing_is_a_row_with_how_it_stood_last() -> None:
    online = {"view": "delay", "version": "ab", "end": "2026-03-01T10:00:00+00:00"}
    stream = {"stream": "landed", "topic": "t", "view": "v"}
    found = rows(
        [
            told("backup.drilled", "backup:b1", 9, verdict="fail", words="a hash differs"),
            told("backup.made", "backup:b1", 8, files=7),
            told("dataset.versioned", "dataset:d@1", 1, count=3, bytes=2_000_000),
            told("dataset.checked", "dataset:d@1", 2, verdict="pass", rows=9, files=1, failures=[]),
            told("stage.finished", "stage:s@1", 3, name="s", state="ran", seconds=4.0),
            told("stage.finished", "stage:s@2", 4, name="s", state="cached", seconds=0.5),
            told("feature_view.applied", "features:v@1", 5, changes=["a column more"]),
            told("features.materialized", "materialisation:1", 6, written=5, **online),
            told("features.materialized", "materialisation:2", 7, written=6, **online),
            told("stream.consumed", "stream:1", 7, partition=0, first=0, last=9, **stream),
            told("stream.consumed", "stream:2", 8, partition=1, first=5, last=5, **stream),
            told("run.finished", "run:1", 8),
        ]
    )
    assert [(row.what, row.which, row.at.second, row.words, row.good) for row in found] == [
        ("dataset version", "dataset:d@1", 1, "3 files, 2.0 MB", None),
        ("checked", "dataset:d@1", 2, "pass: 9 rows in 1 files", True),
        ("stage", "stage:s@2", 4, "cached, 0.5 s", None),
        ("feature view", "features:v@1", 5, "a column more", None),
        ("brought online", "delay@ab", 7, "11 rows in 2 goes, up to 2026-03-01T10:00", None),
        ("stream", "landed", 8, "11 messages of 2 partitions of t", None),
        ("backup", "b1", 8, "7 files", None),
        ("restored to prove it", "b1", 9, "fail: a hash differs", False),
    ]


def test_nothing_told_no_row() -> None:
    assert rows([]) == ()
    assert set(WRITERS) >= {"backup.made", "stage.finished"}
