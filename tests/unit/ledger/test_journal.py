"""The journal: segments, limits, damage, forks."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.support.events import made
from tests.support.sql import SqlStore
from triune.core.errors import Conflict, Refused, Unavailable
from triune.ledger import segment
from triune.ledger.frames import frame
from triune.ledger.journal import Journal, decode, encode
from triune.ledger.ports import Query


def drain(journal: Journal, store: SqlStore) -> None:
    while batch := journal.head(1000):
        store.append([decode(body) for body in batch.bodies])
        journal.advance(batch)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


def test_the_folder_stays_untouched_until_the_first_append(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    assert journal.adopt() == 0
    journal.close()
    assert not (tmp_path / "journal").exists()


def test_segments_rotate_and_go_when_they_are_drained(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=1000)
    for n in range(30):
        journal.append(made(subject=f"run:{n}"))
    assert len(segments(tmp_path)) > 3
    store = SqlStore()
    drain(journal, store)
    assert store.count(Query()) == 30
    assert len(segments(tmp_path)) == 1
    journal.close()
    assert segments(tmp_path) == []


def test_what_is_not_drained_at_the_close_is_left_for_the_next(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    event = made()
    first.append(event)
    first.close()
    second = Journal(tmp_path)
    assert second.adopt() == 1
    assert not second.settled(0)
    store = SqlStore()
    drain(second, store)
    assert store.get(event.id) == event
    assert second.settled(0)


def test_a_segment_whose_owner_lives_is_left_alone(tmp_path: Path) -> None:
    owner = Journal(tmp_path)
    owner.append(made())
    other = Journal(tmp_path)
    assert other.adopt() == 0
    owner.close()
    assert other.adopt() == 1
    other.close()


def test_the_limit_refuses_and_lifts_when_drained(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=1000, limit_bytes=3000)
    with pytest.raises(Unavailable) as caught:
        for _ in range(100):
            journal.append(made())
    assert caught.value.reference == "journal-full"
    accepted = journal.accepted
    store = SqlStore()
    drain(journal, store)
    assert store.count(Query()) == accepted
    journal.append(made())
    journal.close()


def test_bytes_that_wait_for_other_processes_count_towards_the_limit(tmp_path: Path) -> None:
    owner = Journal(tmp_path)
    for _ in range(20):
        owner.append(made())
    other = Journal(tmp_path, limit_bytes=1000)
    other.adopt()
    with pytest.raises(Unavailable):
        other.append(made())
    owner.close()
    other.close()


def test_a_full_disk_cuts_the_torn_frame_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    before = made()
    journal.append(before)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:10]))
    with pytest.raises(Unavailable) as caught:
        journal.append(made())
    assert caught.value.reference == "ledger-disk-full"
    monkeypatch.setattr(os, "write", real)
    after = made()
    journal.append(after)
    store = SqlStore()
    drain(journal, store)
    assert [stored.event for stored in store.select(Query())] == [before, after]
    journal.close()
    assert list(tmp_path.glob("*.damaged")) == []


def test_damage_is_kept_and_reported_and_the_rest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = [made(subject=f"run:{n}") for n in range(3)]
    frames = [bytearray(frame(encode(event))) for event in events]
    frames[1][20] ^= 1
    (tmp_path / "a.segment").write_bytes(b"".join(frames))
    journal, store = Journal(tmp_path), SqlStore()
    journal.adopt()
    drain(journal, store)
    assert [s.event for s in store.select(Query())] == [events[0], events[2]]
    assert [path.name for path in segment.damaged(tmp_path)] == ["a.damaged"]
    assert "cannot be read" in caplog.text
    journal.close()


@pytest.mark.parametrize(
    "payload",
    [{"x": object()}, {"x": 2**70}, {"x": 1j}, {1j: 2}],
    ids=["object", "big", "j", "key"],
)
def test_what_json_cannot_hold_is_refused(tmp_path: Path, payload: dict[str, object]) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(Refused) as caught:
        journal.append(made(payload=payload))
    assert caught.value.reference == "event-invalid"
    assert journal.accepted == 0


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.close()
    with pytest.raises(Conflict):
        journal.append(made())


def test_many_threads_append_whole_frames(tmp_path: Path) -> None:
    journal, store = Journal(tmp_path, segment_bytes=20_000), SqlStore()

    def write(name: int) -> None:
        for n in range(200):
            journal.append(made(subject=f"run:{name}-{n}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drain(journal, store)
    found = [stored.event.subject for stored in store.select(Query())]
    assert len(found) == len(set(found)) == 800
    for name in range(4):
        assert [s for s in found if s.startswith(f"run:{name}-")] == [
            f"run:{name}-{n}" for n in range(200)
        ]
    journal.close()


def test_a_forked_child_writes_a_segment_of_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(made(subject="run:parent"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            journal.append(made(subject="run:child"))
            status = 0 if len(segments(tmp_path)) == 2 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    journal.append(made(subject="run:parent-again"))
    assert journal.adopt() == 1
    store = SqlStore()
    drain(journal, store)
    subjects = {stored.event.subject for stored in store.select(Query())}
    assert subjects == {"run:parent", "run:child", "run:parent-again"}
    journal.close()
    assert segments(tmp_path) == []
