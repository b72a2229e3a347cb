"""A stage for delivery tests: workspace, real Envoy, real ledger, stub model servers.

Everything lies in one folder and outlives the Python process, so that a test can run a
command in a subprocess, kill it anywhere, and go on:
``python -m tests.support.delivery ROOT start RELEASE [STEP TO DIE AT]``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support import upstream as upstream_module
from tests.support.ports import free_port
from triune.core.clock import SystemClock
from triune.core.config import slug
from triune.core.errors import NotFound, Refused, Unavailable
from triune.core.files import read_json, write_json
from triune.core.ids import digest_tree
from triune.core.process import HttpReady, ProcessSpec, TcpReady
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.delivery.client import HttpClient, ready
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.gateway.backends.envoy import EnvoyGateway
from triune.delivery.moves import Tools
from triune.delivery.ports import ModelVersion
from triune.delivery.release import Release
from triune.delivery.releases import Releases
from triune.delivery.routing import Routing
from triune.delivery.service import Delivery
from triune.delivery.smoke import SmokeClient, SmokeTest
from triune.delivery.state import Arm
from triune.delivery.store import EndpointStore
from triune.ledger.envelope import Edge, Event, event
from triune.ledger.ports import Query
from triune.ledger.service import Ledger

ROOT = Path(__file__).parent.parent.parent
ENDPOINT = "flights/delay"
SLUG = "flights-delay"

CONFIG = """
[workspace]
name = "stage"

[endpoints."flights/delay"]
model = "delay"
inputs = [{ name = "x", datatype = "FP64" }]
smoke_latency_ms = 60.0
rollback_window_s = 600.0
health_interval_ms = 100.0

[endpoints."flights"]
model = "delay"
smoke_latency_ms = 5000.0
"""


@dataclass(frozen=True)
class Running:
    name: str
    pid: int | None


class LocalProcesses:
    """The port `Processes` by plain detached processes with a record for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[subprocess.Popen[bytes]] = []

    def ensure(self, spec: ProcessSpec) -> None:
        record = read_json(self._record(spec.name))
        if record is None or record["argv"] != list(spec.argv) or not alive(record["pid"]):
            self.remove(spec.name)
            self._start(spec)
        if isinstance(spec.ready, TcpReady):
            self._await_port(spec.name, spec.ready.port)
            return
        assert isinstance(spec.ready, HttpReady)
        host, _, port = spec.ready.url.removeprefix("http://").partition("/")[0].partition(":")
        path = "/" + spec.ready.url.removeprefix("http://").partition("/")[2]
        self._await(spec, host, int(port), path)

    def _await_port(self, name: str, port: int) -> None:
        def listens() -> bool:
            with socket.socket() as probe:
                return self.pid(name) is not None and probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens, timeout=30, what=f"{name} listens")

    def _start(self, spec: ProcessSpec) -> None:
        log = (self._folder / f"{spec.name}.log").open("ab")
        child = subprocess.Popen(
            spec.argv, cwd=spec.cwd, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self._children.append(child)
        write_json(self._record(spec.name), {"pid": child.pid, "argv": list(spec.argv)})

    def _await(self, spec: ProcessSpec, host: str, port: int, path: str) -> None:
        def answers() -> bool:
            if self.pid(spec.name) is None:
                log = (self._folder / f"{spec.name}.log").read_text()[-300:]
                self.remove(spec.name)
                raise Unavailable("service-not-ready", f"{spec.name} died: {log}")
            try:
                with HttpClient(host, port, timeout=1) as client:
                    return client.request("GET", path).status == 200
            except OSError:
                return False

        wait_until(answers, timeout=20, what=f"{spec.name} is ready")

    def remove(self, name: str) -> None:
        pid = self.pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not alive(pid), timeout=15, what=f"{name} stops")
        self._record(name).unlink(missing_ok=True)

    def pid(self, name: str) -> int | None:
        record = read_json(self._record(name))
        return record["pid"] if record and alive(record["pid"]) else None

    def kill(self, name: str) -> None:
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), timeout=10, what=f"{name} is dead")

    def status(self) -> Sequence[Running]:
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        return [Running(name, self.pid(name)) for name in names]

    def stop_all(self) -> None:
        for process in self.status():
            self.remove(process.name)

    def _record(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class StubModels:
    """Model versions as folders ``models/<name>-<n>`` with a digest that was written down."""

    folder: Path

    def add(self, name: str, behaviour: str = "ok") -> None:
        place = self.folder / name
        place.mkdir(parents=True)
        (place / "behaviour").write_text(behaviour)
        write_json(self.folder / f"{name}.digest", digest_tree(place))

    def resolve(self, name: str) -> ModelVersion:
        key = name.removeprefix("model:")
        digest = read_json(self.folder / f"{key}.digest")
        if digest is None:
            raise NotFound("model-not-found", f"no model {key}")
        return ModelVersion(f"model:{key}", digest, self.folder / key)

    def verify(self, version: ModelVersion) -> None:
        if digest_tree(version.folder) != version.digest:
            raise Refused("model-tampered", f"{version.ref} has changed")


@dataclass(frozen=True)
class StubArms:
    """The port `Arms` by ``tests/support/upstream.py``."""

    folder: Path
    models: StubModels

    def process(self, release: Release, arm: Arm) -> ProcessSpec:
        model = self.models.resolve(release.bundle.model.ref)
        path = self.folder / f"{arm.upstream}.json"
        spec = {
            "port": arm.port,
            "release": release.ref,
            "arm": arm.colour.value,
            "model": slug(release.bundle.endpoint),
            "behaviour": (model.folder / "behaviour").read_text(),
        }
        write_json(path, spec)
        return ProcessSpec(
            name=arm.process,
            argv=(sys.executable, upstream_module.__file__, str(path)),
            ready=HttpReady(f"{arm.url}/v2/health/ready"),
            cwd=ROOT,
        )

    def forget(self, arm: Arm) -> None:
        (self.folder / f"{arm.upstream}.json").unlink(missing_ok=True)


@dataclass(frozen=True)
class FilePorts:
    path: Path

    def __call__(self, name: str) -> int:
        known: dict[str, int] = read_json(self.path) or {}
        if name not in known:
            known[name] = free_port()
            write_json(self.path, known)
        return known[name]


def own_test(client: SmokeClient) -> None:
    """The workspace's own: the first score is a probability."""
    answer = client.infer({"x": [1.0, 2.0]})
    assert all(0 <= score <= 1 for values in answer.values() for score in values)


@dataclass
class Stage:
    """The whole stage, by its folder."""

    root: Path
    with_envoy: bool = True
    window: float = 600.0
    workspace: Workspace = field(init=False)
    ledger: Ledger = field(init=False)
    processes: LocalProcesses = field(init=False)
    models: StubModels = field(init=False)
    ports: FilePorts = field(init=False)

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        config = self.root / "triune.toml"
        if not config.exists():
            config.write_text(CONFIG.replace("600.0", str(float(self.window))))
        for name in ("processes", "specs", "models"):
            (self.root / name).mkdir(exist_ok=True)
        self.workspace = Workspace(self.root)
        self.ledger = self.open_ledger()
        self.processes = LocalProcesses(self.root / "processes")
        self.models = StubModels(self.root / "models")
        self.ports = FilePorts(self.root / "ports.json")
        self.gateway = EnvoyGateway(self.envoy_folder, self.ports("envoy.admin"))
        self.store = EndpointStore(self.workspace.state / "endpoints")
        self.delivery = Delivery(self.tools())

    def open_ledger(self) -> Ledger:
        url = f"sqlite:///{self.root / 'ledger.db'}"
        return Ledger.open(url, self.root / "journal", workspace="stage")

    @property
    def envoy_folder(self) -> Path:
        return self.root / "envoy"

    def tools(self) -> Tools:
        return Tools(
            workspace=self.workspace,
            store=self.store,
            routing=Routing(self.store, self.gateway),
            processes=self.processes,
            arms=StubArms(self.root / "specs", self.models),
            port_of=self.ports,
            releases=Releases(self.workspace, self.ledger, self.models, lambda ref: []),
            log=self.ledger,
            own_tests=lambda release: [SmokeTest("own", own_test)],
            examples=lambda release: {"x": [1.0, 2.0]},
            clock=SystemClock(),
        )

    def start_envoy(self) -> None:
        self.processes.ensure(
            envoy_bootstrap.process(
                self.envoy_folder, self.ports("envoy.admin"), self.ports("envoy"), workers=1
            )
        )

    def release(self, model: str, behaviour: str = "ok", endpoint: str = ENDPOINT) -> str:
        """Make a model version that behaves like this, and a release of it."""
        if not (self.models.folder / model).exists():
            self.models.add(model, behaviour)
            self.ledger.record([registered(model)])
        return self.delivery.releases.create(endpoint, model).ref

    def call(self, path: str = f"/{ENDPOINT}/v2/models/{SLUG}/infer", **headers: str) -> Any:
        """One request through the gateway."""
        body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}'
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with HttpClient("127.0.0.1", self.ports("envoy"), timeout=10) as client:
            return client.request("POST", path, body, names)

    def served(self) -> str:
        """The release that users reach now."""
        answer = self.call()
        assert answer.status == 200, f"{answer.status}: {answer.body!r}"
        return str(answer.headers["x-triune-release"])

    def behave(self, arm: Arm, behaviour: str) -> None:
        """Make a running arm behave differently."""
        with HttpClient("127.0.0.1", arm.port, timeout=5) as client, contextlib.suppress(OSError):
            client.request("POST", f"/control/{behaviour}")

    def events(self, kind: str) -> list[Event]:
        self.ledger.flush()
        return [stored.event for stored in self.ledger.select(Query(kind=kind))]

    def is_ready(self, arm: Arm) -> bool:
        return ready("127.0.0.1", arm.port, timeout=1)[0]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this stage in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "tests.support.delivery", str(self.root), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def close(self) -> None:
        self.processes.stop_all()
        self.ledger.close()


def registered(model: str) -> Event:
    """A model's record with the least lineage a release needs."""
    edges = (
        Edge(f"model:{model}", f"run:{model}", "run"),
        Edge(f"run:{model}", "commit:abc", "commit"),
        Edge(f"run:{model}", "features:asof@123", "features"),
        Edge("features:asof@123", "commit:older", "commit"),
    )
    return event(
        "model.registered", f"model:{model}", workspace="stage", actor="user:test", edges=edges
    )


@contextlib.contextmanager
def staged(root: Path, **options: Any) -> Iterator[Stage]:
    """A stage that leaves no process behind."""
    stage = Stage(root / "stage", **options)
    try:
        if stage.with_envoy:
            stage.start_envoy()
        yield stage
    finally:
        stage.close()


def main(root: str, command: str, argument: str, die_at: str = "") -> None:
    """One command; it kills itself with SIGKILL at the step named ``die_at``."""
    stage = Stage(Path(root), with_envoy=False)

    def observe(step: str, words: str) -> None:
        print(step, words, flush=True)
        if step == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if command == "start":
        stage.delivery.start(ENDPOINT, argument, actor="user:test", observe=observe)
    elif command == "rollback":
        stage.delivery.rollback(ENDPOINT, argument, actor="user:test", observe=observe)
    elif command == "recover":
        stage.delivery.recover(ENDPOINT, observe=observe)
    stage.ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
