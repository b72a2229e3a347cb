"""A process that has imported everything and forks controllers and commands in milliseconds.

``python -m tests.support.rollout_nursery ROOT`` reads an `Errand` a line and answers with the id
of the process that does it. The steps that its children tell are in ``steps/<endpoint>``; a child
may kill itself with SIGKILL at one of them, or be held there until it is let go.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.support.rollout_lab import BEAT_SECONDS, Errand, Lab
from tests.support.rollouts import conductor, watched
from triune.app.controller import Scan
from triune.core.config import slug
from triune.core.errors import Unavailable
from triune.core.waiting import wait_until
from triune.delivery.rollout.backends.temporal import FEW, RolloutWorker, Temporal
from triune.delivery.rollout.model import Record, Ticket
from triune.delivery.rollout.service import Rollouts
from triune.delivery.rollout.store import RecordStore

HELD_SECONDS = 60.0


class Steps:
    """The observer of a child: notes each step, dies at one, is held at some."""

    def __init__(self, root: Path, errand: Errand) -> None:
        self._errand = errand
        self._told = root / "steps" / slug(errand.endpoint)
        self._held = root / "held" / slug(errand.endpoint)
        self._count: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, step: str, words: str) -> None:
        with self._lock:
            self._count[step] += 1
            name = f"{step}:{self._count[step]}"
            with self._told.open("a") as file:
                file.write(name + "\n")
        print(f"{time.time():.3f} {name} {words}", flush=True)
        if name == self._errand.die:
            os.kill(os.getpid(), signal.SIGKILL)
        if name in self._errand.hold:
            self._held.write_text(name)
            wait_until(lambda: not self._held.exists(), timeout=HELD_SECONDS, what="let go")


def nursery(root: str) -> None:
    """Fork a child for each errand; this process never starts a thread itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a child that ends leaves nothing behind
    for line in sys.stdin:
        errand = Errand(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _child(Path(root), errand)
        print(pid, flush=True)


def _child(root: Path, errand: Errand) -> None:
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(root / "logs" / slug(errand.endpoint), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        lab = Lab(root)
        if errand.release:
            taken = conductor(lab, Steps(root, errand))
            Rollouts(taken).start(errand.endpoint, errand.release, actor="user:test")
            lab.ledger.close()
        elif errand.abort:
            Rollouts(lab.conductor).abort(errand.endpoint, errand.abort, actor="user:test")
        else:
            asyncio.run(_drive(lab, errand))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


async def _drive(lab: Lab, errand: Errand) -> None:
    """The controller of one endpoint."""
    records = OwnRecords(lab.workspace.state / "rollouts", errand.endpoint)
    taken = replace(conductor(lab, Steps(lab.root, errand)), records=records)
    worker = RolloutWorker(taken, watched(lab, taken), print)
    temporal = await Temporal.connect(
        lab.temporal,
        f"stage-{slug(errand.endpoint)}",
        beat_s=BEAT_SECONDS,
        round_s=errand.round_s,
    )
    scan = Scan(records, FEW, taken.conclude, again_s=0.5)
    async with temporal.worker(worker):
        print("drives", flush=True)
        while True:
            await scan.look(temporal)
            await asyncio.sleep(0.1)


class OwnRecords(RecordStore):
    """Records of which only one endpoint's are looked after. While there is a file ``full``
    beside them the disk has no room for them."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        super().__init__(folder)
        self._endpoint = endpoint
        self._full = folder / "full"

    def save(self, record: Record, *, synced: bool = False) -> Record:
        if self._full.exists():
            raise Unavailable("rollout-record-unwritable", "No space left on device")
        return super().save(record, synced=synced)

    def unconcluded(self) -> list[Ticket]:
        return [ticket for ticket in super().unconcluded() if ticket.endpoint == self._endpoint]


if __name__ == "__main__":
    nursery(*sys.argv[1:])
