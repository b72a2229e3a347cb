"""What the ledger says of a run's reads."""

from __future__ import annotations

from typing import Any

from triune.ledger.envelope import event
from triune.ledger.reading import unseen

WHOLE: dict[str, Any] = {"capture": "kernel", "unversioned": [], "connections": []}


def _told(reads: dict[str, Any] | None) -> list[str]:
    return unseen(event("run.finished", "run:1", workspace="w", payload={"reads": reads}))


def test_a_run_that_was_seen_wholly_lacks_nothing() -> None:
    assert _told(WHOLE) == []


def test_a_run_that_nobody_was_to_watch_is_not_judged() -> None:
    assert unseen(event("run.finished", "run:1", workspace="w", payload={})) == []


def test_whatever_was_not_seen_is_named() -> None:
    assert "before it ended" in _told(None)[0]
    assert "libraries" in _told({**WHOLE, "capture": "python"})[0]
    assert "3 of its reads" in _told({**WHOLE, "lost": 3})[0]
    assert "git failed" in _told({**WHOLE, "failed": "git failed"})[0]
    assert "tcp://10.0.0.1:5432" in _told({**WHOLE, "connections": ["tcp://10.0.0.1:5432"]})[0]


def test_many_files_are_counted_and_the_first_are_named() -> None:
    files = [{"path": f"/data/{n}", "why": "none"} for n in range(7)]
    told = _told({**WHOLE, "unversioned": files, "more": 10})
    assert len(told) == 6
    assert told[-1] == "it read 12 more files that no version records"
