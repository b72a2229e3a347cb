"""The ledger as its users see it: append, record, flush, follow, close."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.support.events import made, whole_story
from tests.support.sql import SqlStore
from triune.core.errors import Conflict, NotFound, Refused, TriuneError, Unavailable
from triune.core.waiting import wait_until
from triune.ledger.envelope import Event
from triune.ledger.frames import frame
from triune.ledger.journal import Journal, encode
from triune.ledger.ports import Position, Query
from triune.ledger.service import Ledger


class Away(SqlStore):
    """A store that does not answer until told to."""

    def __init__(self) -> None:
        super().__init__()
        self.back = threading.Event()
        self.asked = 0

    def append(
        self,
        events: Sequence[Event],
        *,
        position: Position | None = None,
        all_new: bool = False,
    ) -> int:
        self.asked += 1
        if not self.back.is_set():
            raise Unavailable("ledger-unreachable", "gone")
        return super().append(events, position=position, all_new=all_new)


def test_what_is_appended_arrives(ledger: Ledger) -> None:
    events = [made(subject=f"run:{n}", parents={"commit:1": "commit"}) for n in range(2_300)]
    for event in events:
        ledger.append(event)
    ledger.flush()
    assert [stored.event for stored in ledger.select()] == events
    assert ledger.count(Query(kind="run.started")) == 2_300


def test_append_arrives_without_a_flush(ledger: Ledger) -> None:
    ledger.append(made())
    wait_until(lambda: ledger.count() == 1, timeout=10, what="the drain")


def test_record_says_how_many_were_new_and_moves_the_position(ledger: Ledger) -> None:
    event = made()
    assert ledger.record([event], position=Position("r", "5")) == 1
    assert ledger.record([event]) == 0
    assert ledger.position("r") == "5"


@pytest.mark.parametrize("door", ["append", "record"])
@pytest.mark.parametrize(
    ("event", "reference"),
    [
        (made("run.strated"), "event-kind-unknown"),
        (made(subject=""), "event-invalid"),
        (made(subject="run:\x00"), "event-invalid"),
        (made(subject="run:" + "x" * 200), "event-invalid"),
        (made(parents={"run:\x00": "run"}), "event-invalid"),
        (made(payload={"x": object()}), "event-invalid"),
        (made(payload={"x": "\ud800"}), "event-invalid"),
    ],
)
def test_a_bad_event_is_refused_at_either_door(
    tmp_path: Path, door: str, event: Event, reference: str
) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/l.db", tmp_path / "j", workspace="test")
    with pytest.raises(Refused) as caught:
        ledger.append(event) if door == "append" else ledger.record([made(), event])
    assert caught.value.reference == reference
    assert ledger.count() == 0
    ledger.close()


def test_a_store_that_is_away_neither_blocks_nor_loses(tmp_path: Path) -> None:
    store = Away()
    ledger = Ledger(store, Journal(tmp_path), workspace="test")
    begin = time.monotonic()
    for n in range(500):
        ledger.append(made(subject=f"run:{n}"))
    assert time.monotonic() - begin < 2
    with pytest.raises(Unavailable) as caught:
        ledger.flush(timeout=0.3)
    assert caught.value.reference == "ledger-flush-timeout"
    assert "gone" in caught.value.message
    store.back.set()
    ledger.flush()
    assert store.count(Query()) == 500
    assert 2 <= store.asked < 20
    ledger.close()


def test_closing_while_the_store_is_away_leaves_the_events_to_the_next(tmp_path: Path) -> None:
    ledger = Ledger(Away(), Journal(tmp_path / "j"), workspace="test")
    event = made()
    ledger.append(event)
    ledger.close(timeout=0.1)
    heir = Ledger.open(f"sqlite:///{tmp_path}/l.db", tmp_path / "j", workspace="test")
    heir.flush()
    assert heir.get(event.id) == event
    heir.close()


def test_one_bad_event_in_the_journal_does_not_hold_up_the_rest(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "journal")
    good = [made(subject=f"run:{n}") for n in range(4)]
    bad = msgspec.structs.replace(made(subject="run:bad"), time=2**63)
    no_event = frame(b"\xc0")
    frames = [*(frame(encode(one)) for one in (good[0], bad, good[1])), no_event]
    (tmp_path / "journal").mkdir(exist_ok=True)
    (tmp_path / "journal" / "dead.segment").write_bytes(
        b"".join([*frames, *(frame(encode(one)) for one in good[2:])])
    )
    journal.close()
    ledger.append(made(subject="run:own"))
    heir = Ledger.open(ledger.database.url, tmp_path / "journal", workspace="test")
    heir.flush()
    ledger.flush()
    subjects = [stored.event.subject for stored in ledger.select()]
    assert sorted(subjects) == ["run:0", "run:1", "run:2", "run:3", "run:own"]
    assert len(list((tmp_path / "journal").glob("*.refused"))) == 2
    assert caplog.text.count("refused by the store") == 2
    heir.close()


def test_segments_of_the_dead_are_adopted_by_whoever_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triune.ledger.drain.ADOPT_SECONDS", 0.05)
    store = SqlStore()
    alive = Ledger(store, Journal(tmp_path), workspace="test")
    alive.append(made())
    dying = Journal(tmp_path)
    orphan = made()
    dying.append(orphan)
    dying.close()
    wait_until(lambda: store.get(orphan.id) is not None, timeout=10, what="adoption")
    alive.close()


def test_follow_shows_what_was_and_what_comes_once_each(ledger: Ledger) -> None:
    ledger.record([made(subject="run:before"), made("loop.started", "loop:x")])
    stop = threading.Event()
    seen: list[str] = []

    def follow() -> None:
        for stored in ledger.follow(Query(kind="run.*"), stop=stop):
            seen.append(stored.event.subject)

    thread = threading.Thread(target=follow)
    thread.start()
    wait_until(lambda: seen == ["run:before"], timeout=10, what="the first event")
    for n in range(20):
        ledger.append(made(subject=f"run:{n}"))
        ledger.record([made("loop.finished", "loop:x")])
    wait_until(lambda: len(seen) == 21, timeout=10, what="all events")
    stop.set()
    thread.join(10)
    assert seen == ["run:before", *(f"run:{n}" for n in range(20))]


def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    ledger.record([made()])
    ledger.close()
    for use in (lambda: ledger.append(made()), lambda: ledger.get("x")):
        with pytest.raises(Conflict) as caught:
            use()
        assert caught.value.reference == "ledger-closed"


def test_resolve_takes_references_and_bare_ids(ledger: Ledger) -> None:
    story = whole_story()
    ledger.record(story)
    prediction = story[-1].subject
    assert ledger.resolve("model:delay@1") == "model:delay@1"
    assert ledger.resolve(prediction.partition(":")[2]) == prediction
    assert ledger.resolve("0192aaaa-0000-7000-8000-000000000001").startswith("run:")
    assert ledger.resolve(story[6].id) == "model:delay@1"
    with pytest.raises(NotFound):
        ledger.resolve("0192aaaa-0000-7000-8000-00000000ffff")
    with pytest.raises(NotFound):
        ledger.lineage("run:unknown")


def test_lineage_of_a_prediction_is_complete(ledger: Ledger) -> None:
    ledger.record(whole_story())
    found = ledger.lineage("prediction:0192aaaa-0000-7000-8000-000000000002")
    assert found.complete
    assert {node.ref.partition(":")[0] for node in found.nodes()} == {
        "prediction", "release", "model", "run", "features", "dataset", "commit", "environment",
    }  # fmt: skip
    run = next(node for node in found.nodes() if node.ref.startswith("run:"))
    assert run.event is not None
    assert run.event.payload["metrics"] == {"auc": 0.7}
    assert ledger.missing(found.root.ref) == ()
    assert ledger.coverage().share == 1.0


def test_a_forked_child_uses_the_ledger_it_inherited(ledger: Ledger) -> None:
    ledger.append(made(subject="run:parent"))
    ledger.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ledger.append(made(subject="run:child"))
            ledger.flush()
            ledger.record([made(subject="run:child-recorded")])
            status = 0 if ledger.count() == 3 else 2
            ledger.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ledger.append(made(subject="run:parent-again"))
    ledger.flush()
    assert ledger.count() == 4


def test_an_unknown_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        Ledger.open("mysql://x/y", tmp_path, workspace="test")
    assert caught.value.reference == "ledger-address-unknown"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(TriuneError) as caught:
        Ledger.open(f"sqlite:///{tmp_path}/l.db", tmp_path / "j", workspace="test")
    assert caught.value.reference == "ledger-damaged"


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        Ledger.open("postgresql+psycopg://u:secret-word@127.0.0.1:1/x", tmp_path, workspace="test")
    assert caught.value.reference == "ledger-unreachable"
    assert "secret-word" not in f"{caught.value.message} {caught.value.context}"


def test_every_commit_is_synced(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/l.db", tmp_path / "j", workspace="test")
    assert ledger.database.rows("PRAGMA synchronous") == [(2,)]
    assert ledger.database.rows("PRAGMA journal_mode") == [("wal",)]
    ledger.close()
    with sqlite3.connect(tmp_path / "l.db") as plain:
        assert plain.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_opening_an_up_to_date_ledger_imports_no_sqlalchemy(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    Ledger.open(url, tmp_path / "j", workspace="test").close()
    program = (
        "import sys; from pathlib import Path; from triune.ledger.service import Ledger\n"
        f"l = Ledger.open({url!r}, Path({str(tmp_path / 'j')!r}), workspace='test')\n"
        "list(l.select()); l.close()\n"
        "heavy = {'sqlalchemy', 'alembic', 'psycopg', 'mako'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
