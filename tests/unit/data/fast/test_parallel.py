"""Spreading work over threads and processes: order, errors, and ends."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from triune.core.errors import Refused, Unavailable
from triune.core.waiting import wait_until
from triune.data.fast.hashing import hash_file
from triune.data.fast.parallel import spread
from triune.data.fast.scan import Entry

HERE, ELSEWHERE = 10**9, 0
SLOW = """
import time
from triune.data.fast.parallel import spread
print("begun", flush=True)
for _ in spread(time.sleep, [0.001] * 100_000, many=0):
    pass
"""


@pytest.mark.parametrize("many", [HERE, ELSEWHERE])
def test_results_come_in_order_and_progress_reaches_the_end(many: int) -> None:
    told: list[tuple[int, int]] = []
    items = list(range(1234))
    found = spread(operator.neg, items, lambda done, of: told.append((done, of)), many=many)
    assert list(found) == [-item for item in items]
    assert told[-1] == (1234, 1234)
    assert told == sorted(told)


@pytest.mark.parametrize("many", [HERE, ELSEWHERE])
def test_an_error_arrives_whole(tmp_path: Path, many: int) -> None:
    gone = Entry("gone", str(tmp_path / "gone"), 4, 0, 0)
    with pytest.raises(Refused) as refused:
        list(spread(hash_file, [gone], many=many))
    assert refused.value.reference == "dataset-changing"
    assert refused.value.hint is not None
    assert refused.value.context == gone.path


def test_a_worker_that_is_killed_is_told() -> None:
    with pytest.raises(Unavailable) as died:
        list(spread(os._exit, [9], many=ELSEWHERE))
    assert died.value.reference == "worker-died"
    assert "9" in died.value.message


def test_workers_end_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"begun\n"
        wait_until(lambda: len(children(parent.pid)) > 1, timeout=20, what="workers to begin")
        workers = children(parent.pid)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.communicate()
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers),
        timeout=20,
        what="workers to end",
    )


def children(pid: int) -> list[str]:
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += (task / "children").read_text().split()
    return found
