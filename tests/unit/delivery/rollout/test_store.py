"""The records and gates of rollouts as files: what replaces what, and what is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.evidence import WISH, definition
from triune.core.errors import Conflict, Refused, Unavailable
from triune.delivery.rollout import store as module
from triune.delivery.rollout.model import Gates, Progress, Record, Ticket
from triune.delivery.rollout.store import RecordStore

BROKEN = [b"", b"{", b"[]", b'{"rollout": 3}', b"\xff\xfe"]


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return RecordStore(tmp_path)


def record(rollout: str = "r1", endpoint: str = "a/b", looks: int = 0, outcome: str = "") -> Record:
    return Record(
        rollout=rollout,
        endpoint=endpoint,
        release="release:a-b@000000000000",
        stable=None,
        actor="user:ada",
        started=1.0,
        definition=definition(),
        progress=Progress(looks=looks),
        outcome=outcome,
    )


def test_a_record_goes_on_and_the_next_rollout_takes_its_place(store: RecordStore) -> None:
    store.create(record())
    store.save(record(looks=1))
    assert store.load("a/b") == record(looks=1)
    store.create(record("r2"))
    assert store.load("a/b") == record("r2")


@pytest.mark.parametrize("now", [record("r2"), record(outcome="rolled-back")])
def test_a_late_record_replaces_nothing(store: RecordStore, now: Record) -> None:
    store.create(now)
    with pytest.raises(Conflict) as late:
        store.save(record(looks=7))
    assert late.value.reference == "rollout-superseded"
    assert store.load("a/b") == now


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_record_is_as_good_as_none(
    store: RecordStore, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a-b.json").write_bytes(content)
    with pytest.raises(Refused, match="not what a rollout wrote"):
        store.load("a/b")
    assert store.find("a/b") is None
    assert store.unconcluded() == []
    store.create(record())
    assert store.unconcluded() == [Ticket("a/b", "r1")]


@pytest.mark.parametrize("content", BROKEN)
def test_broken_gates_hold_and_take_what_is_said_next(
    store: RecordStore, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a-b.gates").write_bytes(content)
    found = store.gates("a/b", "r1")
    assert found.paused is not None
    assert (found.rollout, found.abort, found.promote) == ("r1", None, None)
    store.save_gates("a/b", Gates("r1", abort=WISH))
    assert store.gates("a/b", "r1") == Gates("r1", abort=WISH)


def test_gates_of_an_earlier_rollout_do_not_count(store: RecordStore) -> None:
    store.save_gates("a/b", Gates("r1", abort=WISH))
    assert store.gates("a/b", "r2") == Gates("r2")


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.create(record("r2")),
        lambda store: store.save(record(looks=2)),
        lambda store: store.save_gates("a/b", Gates("r1", abort=WISH)),
    ],
)
def test_a_full_disk_is_told_and_the_old_files_stay(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch, write: Callable[[RecordStore], object]
) -> None:
    store.create(record())
    store.save_gates("a/b", Gates("r1", paused=WISH))

    def full(path: Path, data: bytes, *, synced: bool) -> None:
        raise OSError(28, "No space left on device", str(path), None, f"{len(data)} {synced}")

    monkeypatch.setattr(module, "write_atomic", full)
    with pytest.raises(Unavailable, match="No space left") as told:
        write(store)
    assert told.value.reference == "rollout-record-unwritable"
    assert store.load("a/b") == record()
    assert store.gates("a/b", "r1") == Gates("r1", paused=WISH)


def test_a_record_that_vanishes_meanwhile_is_left_out(store: RecordStore, tmp_path: Path) -> None:
    store.create(record())
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")  # found by name, and not there
    assert store.unconcluded() == [Ticket("a/b", "r1")]


def test_what_has_ended_is_not_unconcluded(store: RecordStore) -> None:
    store.create(record())
    store.create(record("r3", "c"))
    store.save(record(outcome="promoted"))
    assert store.unconcluded() == [Ticket("c", "r3")]


def test_one_watch_at_a_time(store: RecordStore) -> None:
    with store.watching("a/b"):
        with pytest.raises(Conflict), store.watching("a/b"):
            pass
        with store.watching("c"):
            pass
    with store.watching("a/b"):
        pass
