"""Many endpoints on one stage, each with a controller process of its own that can be killed.

`Lab` is a stage of several endpoints. A *nursery* process has imported everything and forks a
controller, or a command, in milliseconds: ``python -m tests.support.rollout_lab ROOT`` reads
an `Errand` a line. The steps its children tell are in ``steps/<endpoint>``; a child may kill
itself with SIGKILL at one of them, or be held there until it is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from temporalio.client import Client

from tests.support.delivery import ROOT, StubModels, alive
from tests.support.rollouts import RolloutStage, conductor, watched
from triune.core.config import slug
from triune.core.files import read_json, write_json
from triune.core.waiting import wait_until
from triune.delivery.ports import ModelVersion
from triune.delivery.rollout.model import Record, Ticket
from triune.delivery.rollout.service import Rollouts
from triune.delivery.rollout.store import RecordStore
from triune.delivery.service import Delivery
from triune.delivery.state import Colour, process_name, shares
from triune.ledger.envelope import Event
from triune.ledger.ports import Query
from triune.ledger.service import Ledger

BEAT_SECONDS = 1.0
HELD_SECONDS = 60.0
# Below the ports that a client's own end of a connection gets: those come and go.
_FIRST_PORT, _LAST_PORT = 15_000, 32_000

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
health_failures = 8

[endpoints."{name}".rollout]
{table}
"""


@dataclass(frozen=True)
class Errand:
    """What a child of the nursery is to do: drive ``endpoint``'s rollouts, or, with a
    ``release``, begin one. It kills itself at the step ``die``; it is held at those of
    ``hold``. A step is named with how often it has come: ``stepped:2``."""

    endpoint: str
    die: str = ""
    hold: tuple[str, ...] = ()
    release: str = ""


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
    nursery: subprocess.Popen[str] | None = None
    children: list[int] = field(default_factory=list)
    errands: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        if not (self.root / "triune.toml").exists():
            self._write()
        super().__post_init__()
        url = read_json(self.root / "ledger.json")
        if url:
            self.ledger.close()
            self.ledger = Ledger.open(url, self.root / "journal", workspace="stage")
        self.models = ListedModels(self.models.folder, self.ledger)
        self.delivery = Delivery(self.tools())

    def _write(self) -> None:
        for folder in ("steps", "held", "logs"):
            (self.root / folder).mkdir()
        parts = [
            _ENDPOINT.format(name=name, window=float(self.window), table=table)
            for name, table in self.tables.items()
        ]
        (self.root / "triune.toml").write_text(_HEAD + "".join(parts))
        arms = [process_name(name, colour) for name in self.tables for colour in Colour]
        others = ["envoy", "envoy.admin", "temporal", "temporal.h", "temporal.m"]
        ports = quiet_ports(len(arms) + len(others))
        write_json(self.root / "ports.json", dict(zip([*arms, *others], ports, strict=True)))
        if self.database:
            write_json(self.root / "ledger.json", self.database)

    # Children

    def open_nursery(self) -> None:
        with (self.root / "logs" / "nursery").open("ab") as log:
            self.nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.support.rollout_lab", str(self.root)],
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

    def await_death(self, pid: int, timeout: float = 60.0) -> None:
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

    def start(self, endpoint: str, release: str) -> Ticket:
        return self.rollouts.start(endpoint, release, actor="user:test")

    def await_outcome(self, ticket: Ticket, timeout: float = 60.0) -> str:
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


def quiet_ports(count: int) -> list[int]:
    """So many free ports that no client's end of a connection will be given meanwhile."""
    draw = random.Random(f"{os.getpid()} {time.monotonic_ns()}")
    found: list[int] = []
    while len(found) < count:
        port = draw.randrange(_FIRST_PORT, _LAST_PORT)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    assert len(set(found)) == count
    return found


@contextlib.contextmanager
def laboratory(
    root: Path, tables: Mapping[str, str], *, window: float = 600.0, database: str = ""
) -> Iterator[Lab]:
    """A lab with Envoy, Temporal and a nursery; nothing is left behind."""
    lab = Lab(root / "stage", tables=tables, window=window, database=database)
    try:
        lab.open_nursery()
        lab.start_envoy()
        lab.start_temporal()
        yield lab
    finally:
        lab.close()


async def signalled(lab: Lab, ticket: Ticket, gate: str, actor: str, reason: str) -> None:
    """Use a gate through Temporal."""
    client = await Client.connect(lab.temporal)
    workflow = f"stage-{slug(ticket.endpoint)}/{ticket.endpoint}/{ticket.rollout}"
    await client.get_workflow_handle(workflow).signal(gate, args=[actor, reason])


class Weights:
    """Notes how an endpoint's state changes, in a thread, until closed."""

    def __init__(self, lab: Lab, endpoint: str) -> None:
        self.seen: list[tuple[str, int]] = []
        """Phase and the candidate's weight, each time that they changed."""
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
                self.seen.append(found)


# The nursery and its children


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
        else:
            asyncio.run(_drive(lab, errand))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


async def _drive(lab: Lab, errand: Errand) -> None:
    """The controller of one endpoint."""
    from triune.app.controller import Scan
    from triune.delivery.rollout.backends.temporal import FEW, RolloutWorker, Temporal

    records = OwnRecords(lab.workspace.state / "rollouts", errand.endpoint)
    taken = replace(conductor(lab, Steps(lab.root, errand)), records=records)
    worker = RolloutWorker(taken, watched(lab, taken), print)
    temporal = await Temporal.connect(
        lab.temporal, f"stage-{slug(errand.endpoint)}", beat_s=BEAT_SECONDS
    )
    scan = Scan(records, FEW, taken.conclude, again_s=0.5)
    async with temporal.worker(worker):
        print("drives", flush=True)
        while True:
            await scan.look(temporal)
            await asyncio.sleep(0.1)


class OwnRecords(RecordStore):
    """Records of which only one endpoint's are looked after."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        super().__init__(folder)
        self._endpoint = endpoint

    def unconcluded(self) -> list[Ticket]:
        return [ticket for ticket in super().unconcluded() if ticket.endpoint == self._endpoint]


if __name__ == "__main__":
    # What children need is imported before the first is asked for.
    from triune.app import controller as _controller  # noqa: F401
    from triune.delivery.rollout.backends import temporal as _temporal  # noqa: F401

    nursery(*sys.argv[1:])
