"""kill -9 of the ingester, again and again, while the log grows and rotates."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.support.accesslog import LogWriter, open_ledger, served
from tests.support.delivery import ENDPOINT, ROOT, Stage
from triune.core.ids import new_id
from triune.core.waiting import wait_until
from triune.delivery.gateway.backends.envoy_bootstrap import access_log
from triune.ledger.ports import Query

KILLS = 8


def start(folder: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.support.accesslog", "ingest", str(folder), "20000"]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_kill_9_at_any_moment_loses_none_and_doubles_none(tmp_path: Path) -> None:
    draw = random.Random(5)
    writer = LogWriter(tmp_path / "access.log")
    ids: list[str] = []
    for _ in range(KILLS):
        process = start(tmp_path)
        end = time.monotonic() + draw.uniform(0.05, 0.4)
        while time.monotonic() < end:
            ids.append(new_id())
            writer.write(served(ids[-1]))
            time.sleep(0.0003)
        process.kill()
        process.wait()
    process = start(tmp_path)
    ledger = open_ledger(tmp_path)
    query = Query(kind="prediction.served")

    def all_there() -> bool:
        writer.write(b"")
        return ledger.count(query) >= len(ids)

    try:
        wait_until(all_there, timeout=20, what="all lines are in the ledger")
        assert [stored.event.id for stored in ledger.select(query)] == ids
    finally:
        process.kill()
        process.wait()
        writer.close()
        ledger.close()
    assert not (tmp_path / "access.log.malformed").exists()


@pytest.mark.engine
def test_a_killed_gateway_has_written_down_what_it_answered(stage: Stage) -> None:
    """At most the line that is being written when it dies is lost."""
    stage.delivery.start(ENDPOINT, stage.release("delay@1"))
    answered: list[str] = []
    kills = 3
    for _ in range(kills):
        stop = threading.Event()

        def ask(stop: threading.Event = stop) -> None:
            with contextlib.suppress(OSError, HTTPException):
                while not stop.is_set():
                    answered.append(stage.call().headers["x-triune-prediction"])

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        asked = len(answered)
        wait_until(lambda asked=asked: len(answered) > asked + 50, timeout=20, what="traffic")
        stage.processes.kill("envoy")
        stop.set()
        for thread in threads:
            thread.join()
        stage.start_envoy()
    log = access_log(stage.envoy_folder).read_text()
    lost = [prediction for prediction in answered if prediction not in log]
    assert len(lost) <= kills
