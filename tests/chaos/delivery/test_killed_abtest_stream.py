"""kill -9 of the process that keeps a test's sums, again and again, while facts arrive."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.abtest_facts import NOW, START, reader, saw, stream, told
from triune.delivery.abtest.backends.duckdb import apart, recomputed
from triune.delivery.abtest.facts import Period
from triune.ledger.envelope import Event
from triune.ledger.service import Ledger

KILLS = 15


def facts(draw: random.Random, count: int) -> list[Event]:
    """Exposures, some of them to another variant, and outcomes, some of them corrections."""
    found: list[Event] = []
    for _ in range(count):
        unit, at = f"u{draw.randrange(300)}", draw.uniform(-5, 100)
        if draw.random() < 0.4:
            own = "new" if int(unit[1:]) % 2 else "old"
            found.append(saw(unit, own if draw.random() < 0.98 else "old", at))
        else:
            key = f"k{draw.randrange(2000)}" if draw.random() < 0.3 else ""
            name = draw.choice(["order", "rating"])
            found.append(told(unit, name, draw.uniform(0, 200), at, key))
    return found


def in_child(work: Callable[[], None]) -> int:
    """Run something in a process of its own, until it is killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def test_kill_9_at_any_moment_loses_no_fact_and_counts_none_twice(tmp_path: Path) -> None:
    draw = random.Random(11)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "journal", workspace="shop")
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()

    def keep_up() -> None:
        kept = stream(ledger, tmp_path / "killed")
        while True:
            kept.step(NOW, ledger.last_sequence(), 40)

    steps = []
    for _ in range(KILLS):
        ledger.record(facts(draw, 200))
        child = in_child(keep_up)
        time.sleep(draw.uniform(0.02, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        steps.append(stream(ledger, tmp_path / "killed").look()[1].mark)
    last = stream(ledger, tmp_path / "killed")
    last.catch_up(NOW)
    whole = stream(ledger, tmp_path / "whole")
    whole.catch_up(NOW)
    assert len(set(steps)) > 5, "it was killed while it worked"
    assert last.look()[0] == whole.look()[0]
    exact = recomputed(ledger, reader(), Period(START), NOW)
    assert apart(last.look()[0], exact) < 1e-9
    assert last.look()[0].counts["hopped"] > 0
    ledger.close()
