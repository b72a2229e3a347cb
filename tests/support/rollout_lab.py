"""Many endpoints on one stage, each with a controller process of its own that can be killed.

`Lab` is a stage of several endpoints. It sends each `Errand` to its nursery (see
`tests.support.rollout_nursery`), which forks a controller or a command for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tests.support import ports
from tests.support.delivery import ROOT, StubModels, alive
from tests.support.rollouts import RolloutStage
from triune.core.config import slug
from triune.core.errors import Conflict
from triune.core.files import read_json, write_json
from triune.core.waiting import wait_until
from triune.delivery.ports import ModelVersion
from triune.delivery.rollout.model import Record, Ticket
from triune.delivery.service import Delivery
from triune.delivery.state import Colour, Phase, process_name, shares
from triune.ledger.envelope import Event
from triune.ledger.ports import Query
from triune.ledger.service import Ledger

BEAT_SECONDS = 1.0
PATIENCE = 150.0

QUICK = """
strategy = "canary"
steps = [20, 50]
step_s = 0.2
tick_s = 0.1
warm_up_s = 0.1
min_requests = 3
horizon_s = 600
alpha = 0.001
metrics = [{ name = "errors" }]
"""
PATIENT = QUICK.replace("min_requests = 3", "min_requests = 150")
"""Enough requests at each step for a candidate that fails to be found out."""

_HEAD = '[workspace]\nname = "stage"\n'
_ENDPOINT = """
[endpoints."{name}"]
model = "delay"
inputs = [{{ name = "x", datatype = "FP64" }}]
smoke_latency_ms = 2000.0
rollback_window_s = {window}
health_interval_ms = 250.0
health_failures = {failures}

[endpoints."{name}".rollout]
{table}
"""


@dataclass(frozen=True)
class Errand:
    """What a child of the nursery is to do: drive ``endpoint``'s rollouts, or, with a
    ``release``, begin one, or abort it for the reason ``abort``. It kills itself at the step
    ``die``; it is held at those of ``hold``. A step is named with how often it has come:
    ``stepped:2``. ``round_s`` is that of `Order`."""

    endpoint: str
    die: str = ""
    hold: tuple[str, ...] = ()
    release: str = ""
    abort: str = ""
    round_s: float = 3600.0


@dataclass(frozen=True)
class ListedModels(StubModels):
    """Versions that are looked up in the ledger, as the registry does."""

    ledger: Ledger

    def resolve(self, name: str) -> ModelVersion:
        self.ledger.count(Query(kind="model.registered"))
        return super().resolve(name)


@dataclass
class Lab(RolloutStage):
    """See the module's words. ``tables``: endpoint to the lines of its rollout table."""

    tables: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    failures: int = 8
    """Failed health checks in a row until the guard goes back."""
    free: Sequence[int] = ()
    nursery: subprocess.Popen[str] | None = None
    children: list[int] = field(default_factory=list)
    made: int = 0
    errands: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        if not (self.root / "triune.toml").exists():
            self._write()
        super().__post_init__()
        self.models = ListedModels(self.models.folder, self.ledger)
        self.delivery = Delivery(self.tools())

    def open_ledger(self) -> Ledger:
        url = read_json(self.root / "ledger.json")
        if url is None:
            return super().open_ledger()
        return Ledger.open(url, self.root / "journal", workspace="stage", patient=True)

    def _write(self) -> None:
        for folder in ("steps", "held", "logs"):
            (self.root / folder).mkdir()
        parts = [
            _ENDPOINT.format(
                name=name, window=float(self.window), failures=self.failures, table=table
            )
            for name, table in self.tables.items()
        ]
        (self.root / "triune.toml").write_text(_HEAD + "".join(parts))
        arms = [process_name(name, colour) for name in self.tables for colour in Colour]
        others = ["envoy", "envoy.admin", "temporal", "temporal.h", "temporal.m"]
        names = [*others, *arms]
        assert len(names) <= len(self.free)
        write_json(self.root / "ports.json", dict(zip(names, self.free, strict=False)))
        if self.database:
            write_json(self.root / "ledger.json", self.database)

    # Children

    def open_nursery(self) -> None:
        with (self.root / "logs" / "nursery").open("ab") as log:
            self.nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.support.rollout_nursery", str(self.root)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def send(self, errand: Errand) -> int:
        """Have an errand run; returns the process's id."""
        assert self.nursery is not None
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        with self.errands:
            self.nursery.stdin.write(json.dumps(asdict(errand)) + "\n")
            self.nursery.stdin.flush()
            pid = int(self.nursery.stdout.readline())
            self.children.append(pid)
        return pid

    def await_death(self, pid: int, timeout: float = PATIENCE) -> None:
        wait_until(lambda: not alive(pid), timeout=timeout, what="a child ends", longest_pause=0.02)

    def kill_child(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.await_death(pid)

    # What there is to look at

    def steps(self, endpoint: str) -> list[str]:
        """The steps that were told of an endpoint's rollouts, each with its number."""
        path = self.root / "steps" / slug(endpoint)
        return path.read_text().split() if path.exists() else []

    def held(self, endpoint: str) -> str:
        """The step at which a child is held now; empty when at none."""
        path = self.root / "held" / slug(endpoint)
        return path.read_text() if path.exists() else ""

    def let_go(self, endpoint: str) -> None:
        (self.root / "held" / slug(endpoint)).unlink(missing_ok=True)

    def log_of(self, endpoint: str) -> str:
        path = self.root / "logs" / slug(endpoint)
        return path.read_text()[-3000:] if path.exists() else ""

    def record(self, endpoint: str) -> Record:
        found = self.conductor.records.load(endpoint)
        assert found is not None
        return found

    def serve(self, endpoint: str, behaviour: str = "ok") -> str:
        """A release that serves all users from now on; nothing is kept beside it."""
        release = self.candidate(endpoint, behaviour)
        self.delivery.start(endpoint, release, actor="user:test")
        return release

    def candidate(self, endpoint: str, behaviour: str = "ok") -> str:
        """A release of its own for each call."""
        with self.errands:
            self.made += 1
        return self.release(f"delay@{self.made}", behaviour, endpoint)

    @contextlib.contextmanager
    def driven(self, *endpoints: str, hold: tuple[str, ...] = (), **how: Any) -> Iterator[None]:
        """Controllers of these endpoints run."""
        children = {name: self.send(Errand(name, hold=hold, **how)) for name in endpoints}
        try:
            yield
        finally:
            for name, pid in children.items():
                self.kill_child(pid)
                self.let_go(name)

    def await_held(self, endpoint: str, step: str) -> None:
        wait_until(
            lambda: self.held(endpoint) == step,
            timeout=PATIENCE,
            what=f"{endpoint} is held at {step}",
            longest_pause=0.02,
        )

    def await_phase(self, ticket: Ticket, *phases: Phase | None, timeout: float = PATIENCE) -> None:
        wait_until(
            lambda: self.conductor.where(ticket).phase in phases,
            timeout=timeout,
            what=f"{ticket} is at one of {phases}: {self.log_of(ticket.endpoint)}",
            longest_pause=0.02,
        )

    def await_told(self, ticket: Ticket, kind: str = "rollout.finished") -> Event:
        """The event of a rollout, once it is in the ledger."""
        found: list[Event] = []

        def told() -> bool:
            found[:] = [event for event in self.happened(ticket) if event.kind == kind]
            return bool(found)

        wait_until(told, timeout=PATIENCE, what=f"{kind} of {ticket}", longest_pause=0.1)
        return found[0]

    def settle(self, ticket: Ticket) -> str:
        """Wait for a rollout's end, ending its rollback window as the guard would; returns how it
        ended. It is in the ledger then."""
        self.await_phase(ticket, Phase.WATCHING, None)
        while self.conductor.where(ticket).phase is Phase.WATCHING:
            with contextlib.suppress(Conflict):  # somebody else is at work on it
                self.delivery.complete(ticket.endpoint, "the test is content", actor="user:test")
        outcome = self.await_outcome(ticket)
        self.await_told(ticket)
        return outcome

    def looked(self, ticket: Ticket, more: int = 5) -> None:
        """Wait for so many more looks."""
        now = self.record(ticket.endpoint).progress.looks
        wait_until(
            lambda: self.record(ticket.endpoint).progress.looks >= now + more,
            timeout=PATIENCE,
            what=f"{more} looks: {self.log_of(ticket.endpoint)}",
        )

    def others(self, endpoint: str) -> list[str]:
        """The colours of arms that run beside the live one."""
        live = self.store.load(endpoint).live
        colours = [c for c in Colour if self.processes.pid(process_name(endpoint, c)) is not None]
        return [colour.value for colour in colours if live is None or colour is not live.colour]

    def start(self, endpoint: str, release: str) -> Ticket:
        return self.rollouts.start(endpoint, release, actor="user:test")

    def await_outcome(self, ticket: Ticket, timeout: float = PATIENCE) -> str:
        """Wait until a rollout is concluded; returns how it ended."""

        def concluded() -> bool:
            record = self.record(ticket.endpoint)
            return record.rollout != ticket.rollout or bool(record.outcome)

        wait_until(
            concluded,
            timeout=timeout,
            what=f"{ticket} is concluded: {self.record(ticket.endpoint).last}",
            longest_pause=0.05,
        )
        return self.record(ticket.endpoint).outcome

    def happened(self, ticket: Ticket) -> list[Event]:
        """The events of a rollout, in the log's order."""
        found = self.ledger.select(Query(kind="rollout.*"))
        return [s.event for s in found if s.event.payload.get("rollout") == ticket.rollout]

    def routed(self, endpoint: str) -> dict[str, int]:
        """Upstream to weight, as Envoy itself reports it has them in force."""
        for entry in self.gateway._dump("dynamic_route_configs"):
            for host in entry["route_config"]["virtual_hosts"]:
                for route in host["routes"]:
                    if route["match"].get("prefix") == f"/{endpoint}/":
                        split = route["route"]["weighted_clusters"]["clusters"]
                        return {one["name"]: int(one.get("weight", 0)) for one in split}
        return {}

    def decided(self, endpoint: str) -> dict[str, int]:
        """Upstream to weight, as the state file says."""
        return {s.arm.upstream: s.weight for s in shares(self.store.load(endpoint))}

    def agrees(self, endpoint: str) -> bool:
        """Whether the weights in the gateway are those that were decided last."""
        return self.routed(endpoint) == self.decided(endpoint)

    def close(self) -> None:
        if self.nursery is not None:
            self.nursery.kill()
            self.nursery.wait()
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().close()


@contextlib.contextmanager
def laboratory(root: Path, tables: Mapping[str, str], **options: Any) -> Iterator[Lab]:
    """A lab with Envoy, Temporal and a nursery; nothing is left behind."""
    with ports.block() as free:
        lab = Lab(root / "stage", tables=tables, free=free, **options)
        try:
            lab.open_nursery()
            lab.start_envoy()
            lab.start_temporal()
            yield lab
        finally:
            lab.close()


def workflow_of(ticket: Ticket) -> str:
    """The id of a rollout's workflow."""
    return f"stage-{slug(ticket.endpoint)}/{ticket.endpoint}/{ticket.rollout}"


async def signalled(lab: Lab, ticket: Ticket, gate: str, actor: str, reason: str) -> None:
    """Use a gate through Temporal."""
    client = await Client.connect(lab.temporal)
    await client.get_workflow_handle(workflow_of(ticket)).signal(gate, args=[actor, reason])


class Weights:
    """Notes how an endpoint's state changes, in a thread, until closed."""

    def __init__(self, lab: Lab, endpoint: str) -> None:
        self.seen: list[tuple[str, int]] = []
        """Phase and the candidate's weight, each time that they changed."""
        self.at: list[float] = []
        """When each was seen first, in monotonic seconds."""
        self._lab, self._endpoint = lab, endpoint
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Weights:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            now = self._lab.store.load(self._endpoint)
            found = now.phase.value, now.pending.weight if now.pending else 0
            if not self.seen or self.seen[-1] != found:
                self.at.append(time.monotonic())
                self.seen.append(found)
