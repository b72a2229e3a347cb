"""kill -9 in the middle of `append`, of the drain and of `record`: nothing lost, nothing twice."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from triune.core.waiting import wait_until
from triune.ledger.ports import Query
from triune.ledger.service import Ledger

ROOT = Path(__file__).parent.parent.parent.parent


class Writers:
    """Processes that append; what they said was accepted is in files of their own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.journal = folder / "journal"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, count: int, mode: str = "append") -> None:
        command = [sys.executable, "-m", "tests.support.appender", self.url]
        command += [str(self.journal), name, str(count), mode]
        with (self.folder / f"{name}.accepted").open("wb") as accepted:
            self.running[name] = subprocess.Popen(command, stdout=accepted, cwd=ROOT)

    def accepted(self, name: str) -> list[str]:
        lines = (self.folder / f"{name}.accepted").read_text().splitlines(keepends=True)
        return [line.strip() for line in lines if line.endswith("\n")]

    def kill_after(self, name: str, events: int) -> None:
        wait_until(
            lambda: len(self.accepted(name)) >= events or self.running[name].poll() is not None,
            timeout=60,
            what=f"{events} events of {name}",
            longest_pause=0.01,
        )
        self.running[name].kill()
        self.running[name].wait(10)

    def wait(self, name: str) -> None:
        assert self.running[name].wait(120) == 0

    def stop(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
            process.wait(10)


@pytest.fixture
def writers(tmp_path: Path, url: str) -> Iterator[Writers]:
    made = Writers(tmp_path, url)
    yield made
    made.stop()


def check(writers: Writers, *names: str) -> None:
    """Reopen, take over what was left, and compare with what was accepted."""
    ledger = Ledger.open(writers.url, writers.journal, workspace="test")
    ledger.flush(60)
    subjects = [stored.event.subject for stored in ledger.select()]
    assert len(subjects) == len(set(subjects)), "stored twice"
    for name in names:
        accepted = writers.accepted(name)
        own = [subject for subject in subjects if subject.startswith(f"run:{name}-")]
        assert own[: len(accepted)] == accepted, "lost, or out of order"
        assert len(own) <= len(accepted) + 10
        for event in ledger.select(Query(subject=own[-1] if own else None, limit=1)):
            assert ledger.parents([event.event.subject]) == list(event.event.edges)
    ledger.close()
    assert list(writers.journal.glob("*.segment")) == []
    assert list(writers.journal.glob("*.damaged")) == []


@pytest.mark.parametrize("seed", range(3))
def test_killed_while_appending_and_draining(writers: Writers, seed: int) -> None:
    writers.start("a", 100_000)
    writers.kill_after("a", random.Random(seed).randint(1, 6_000))
    check(writers, "a")


def test_killed_again_and_again_while_others_write(writers: Writers) -> None:
    writers.start("steady", 2_000)
    for round_ in range(3):
        writers.start(f"victim{round_}", 100_000)
        writers.kill_after(f"victim{round_}", 200 * (round_ + 1))
    writers.wait("steady")
    check(writers, "steady", "victim0", "victim1", "victim2")


def test_killed_before_anything_was_drained(writers: Writers) -> None:
    writers.start("a", 100_000, "nodrain")
    writers.kill_after("a", 3_000)
    check(writers, "a")


def test_killed_while_recording_keeps_batches_whole(writers: Writers) -> None:
    writers.start("a", 100_000, "record")
    writers.kill_after("a", 400)
    ledger = Ledger.open(writers.url, writers.journal, workspace="test")
    stored = ledger.count()
    assert stored % 10 == 0
    assert ledger.position("a") == str(stored)
    assert stored >= len(writers.accepted("a"))
    ledger.close()


def test_the_heir_is_killed_too(writers: Writers) -> None:
    writers.start("a", 100_000, "nodrain")
    writers.kill_after("a", 5_000)
    for heir in ("b", "c"):
        writers.start(heir, 100_000)
        writers.kill_after(heir, 1)
    check(writers, "a", "b", "c")


def test_writers_in_several_processes_all_arrive(writers: Writers) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        writers.start(name, 1_500, "record" if name == "d" else "append")
    for name in names:
        writers.wait(name)
    check(writers, *names)
    assert [len(writers.accepted(name)) for name in names] == [1_500] * 4
