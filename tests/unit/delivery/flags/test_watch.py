"""How the server learns of changes: from a real ledger, which may be away for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.flag_servers import flag
from triune.core.errors import Unavailable
from triune.core.waiting import wait_until
from triune.delivery.flags.server.watch import Watch
from triune.delivery.flags.service import EMPTY, Flags, FlagSet
from triune.delivery.flags.snapshot import Snapshot
from triune.ledger.envelope import event
from triune.ledger.service import Ledger


class Heard:
    def __init__(self, source: object, log: object) -> None:
        self.sets: list[Snapshot] = []
        self.up: list[bool] = []
        self.told: list[str] = []
        self.watch = Watch(source, log, self.sets.append, self.up.append, self.told.append)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.engine)])
def test_a_change_is_heard_of_soon(kind: str, url_of: Callable[[str], str], tmp_path: Path) -> None:
    url = url_of(kind)
    ledgers = [Ledger.open(url, tmp_path / name, workspace="shop") for name in ("ours", "theirs")]
    flags, theirs = Flags(ledgers[0], "shop"), Flags(ledgers[1], "shop")
    heard, stop = Heard(flags, ledgers[0]), threading.Event()
    thread = threading.Thread(target=heard.watch.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: len(heard.sets) == 1, timeout=10, what="no flags")
        assert heard.sets[0].flags == {}
        theirs.set(flag(), "new")
        wait_until(lambda: len(heard.sets) == 2, timeout=10, what="the flag")
        theirs.default("new-ui", "on", "all")
        theirs.remove("new-ui", "gone")
        wait_until(lambda: heard.sets[-1].flags == {}, timeout=10, what="the removal")
    finally:
        stop.set()
        thread.join()
        for one in ledgers:
            one.close()
    assert set(heard.up) == {True}
    assert heard.told == []


def test_other_events_are_no_change(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'l.db'}", tmp_path / "j", workspace="shop")
    flags = Flags(ledger, "shop")
    flags.set(flag(), "new")
    heard = Heard(flags, ledger)
    assert heard.watch.look()
    ledger.record([event("service.stopped", "service:x", workspace="shop", payload={})])
    assert heard.watch.look()
    assert len(heard.sets) == 1
    ledger.close()


class Shaky:
    """A ledger that may be away, or be restored to an earlier state."""

    def __init__(self) -> None:
        self.away = False
        self.sequence = 5
        self.flags = {"new-ui": flag()}
        self.asked: list[int] = []

    def last_sequence(self) -> int:
        if self.away:
            raise Unavailable("ledger-unreachable", "it is away", hint="")
        return self.sequence

    def current(self, known: FlagSet = EMPTY) -> FlagSet:
        self.asked.append(known.sequence)
        return FlagSet(self.flags, {}, self.sequence)


def test_a_ledger_that_is_away_changes_nothing_and_is_told_once() -> None:
    shaky = Shaky()
    heard = Heard(shaky, shaky)
    shaky.away = True
    assert [heard.watch.look() for _ in range(3)] == [False] * 3
    shaky.away = False
    assert heard.watch.look()
    assert heard.up == [False, False, False, True]
    assert [words.partition(":")[0] for words in heard.told] == [
        "ledger-unreachable",
        "the ledger answers again",
    ]
    assert len(heard.sets) == 1


def test_a_ledger_that_was_restored_is_read_from_its_beginning() -> None:
    shaky = Shaky()
    heard = Heard(shaky, shaky)
    heard.watch.look()
    shaky.sequence, shaky.flags = 3, {}
    heard.watch.look()
    assert shaky.asked == [0, 0]
    assert heard.sets[-1].flags == {}
