"""Gateways to test, model servers behind them, and quick ways to ask."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.support.delivery import LocalProcesses
from tests.support.ports import free_port
from tests.support.upstream import Upstream as Server
from triune.delivery.client import Answer, HttpClient
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.gateway.backends.envoy import EnvoyGateway
from triune.delivery.gateway.backends.memory import MemoryGateway
from triune.delivery.gateway.model import Route, Table, Target, Upstream
from triune.delivery.gateway.ports import Gateway

_BATCH = 100


class Rig(Protocol):
    """A gateway under test, and a way to ask it."""

    gateway: Gateway

    def release_at(self, path: str, unit: str = "") -> str | None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class MemoryRig:
    def __init__(self) -> None:
        self.gateway = MemoryGateway()

    def release_at(self, path: str, unit: str = "") -> str | None:
        found = self.gateway.answers(path, unit)
        return found.release if found else None

    def start(self) -> None:
        self.gateway.epoch += "'"
        self.gateway.reachable = True

    def stop(self) -> None:
        self.gateway.reachable = False


class EnvoyRig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.admin, self.port = free_port(), free_port()
        self.processes = LocalProcesses(folder)
        self.gateway = EnvoyGateway(folder / "envoy", self.admin, live_seconds=10)
        self.start()

    def start(self) -> None:
        self.processes.ensure(
            envoy_bootstrap.process(self.folder / "envoy", self.admin, self.port, workers=1)
        )

    def call(self, path: str, **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with HttpClient("127.0.0.1", self.port, timeout=10) as client:
            return client.request("POST", path, b"{}", names)

    def release_at(self, path: str, unit: str = "") -> str | None:
        answer = self.call(path, **({"x_triune_unit": unit} if unit else {}))
        return answer.headers["x-triune-release"] if answer.status == 200 else None

    def arms(self, path: str, units: Sequence[str], more: bytes = b"") -> list[str]:
        """``x-triune-arm`` of each unit's answer; a unit of "" sends none. Many at a time.

        ``more`` are further headers, each ended by a line break.
        """
        requests = [_request(path, unit, more) for unit in units]
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            reader = connection.makefile("rb")
            found = []
            for start in range(0, len(requests), _BATCH):
                batch = requests[start : start + _BATCH]
                connection.sendall(b"".join(batch))
                found += [_answer(reader) for _ in batch]
        assert Counter(status for status, _ in found) == {200: len(units)}
        return [headers["x-triune-arm"] for _, headers in found]

    def stop(self) -> None:
        self.processes.stop_all()


@dataclass
class Recording(Server):
    """A model server that keeps the headers of what it was asked."""

    seen: list[dict[str, str]] = field(default_factory=list)

    def answer(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        self.seen.append(headers)
        return super().answer(method, path, body, headers)


class Silent(Server):
    """A model server that never answers."""

    async def exchange(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read()


@contextmanager
def listening(*servers: Server) -> Iterator[None]:
    """Model servers that answer, on a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> list[asyncio.Server]:
        where = "127.0.0.1"
        return [await asyncio.start_server(one.connection, where, one.port) for one in servers]

    async def leave(doors: list[asyncio.Server]) -> None:
        for door in doors:
            door.close()
        while open_ones := [writer for one in servers for writer in one.connections]:
            for writer in open_ones:
                writer.transport.abort()
            await asyncio.sleep(0.005)

    doors = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(leave(doors), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def server(name: str) -> Recording:
    """A model server named for the release that it answers with."""
    return Recording(free_port(), f"release:{name}", "own", "m")


def upstream(name: str, port: int, arm: str = "stable") -> Upstream:
    return Upstream(f"up-{name}", "127.0.0.1", port, arm, f"release:{name}")


def split(ports: Mapping[str, int], endpoint: str = "flights", **weights: int) -> Table:
    """``split(ports, a=3_000, b=7_000)``: the endpoint's arms, each named like its release."""
    return Table(
        tuple(upstream(name, port, name) for name, port in ports.items()),
        (Route(endpoint, tuple(Target(f"up-{name}", w) for name, w in weights.items())),),
    )


def echo_process(processes: LocalProcesses, folder: Path) -> int:
    """Start an Envoy that answers everything itself, quicker than Python can; its port."""
    port, admin = free_port(), free_port()
    spec = envoy_bootstrap.process(folder / "behind", admin, port, workers=1, name="behind")
    answer = {"status": 200, "body": {"inline_string": "{}"}}
    routes = [{"match": {"prefix": "/"}, "direct_response": answer}]
    hosts = {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}
    with edited(folder / "behind") as (_, manager):
        del manager["rds"]
        manager |= {"route_config": hosts, "access_log": []}
        manager["http_filters"] = manager["http_filters"][-1:]
    processes.ensure(spec)
    return port


@contextmanager
def edited(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """An Envoy's listener and connection manager, to change before it is started."""
    path = folder / envoy_bootstrap.BOOTSTRAP_FILE
    config = json.loads(path.read_text())
    listener = config["static_resources"]["listeners"][0]
    yield listener, listener["filter_chains"][0]["filters"][0]["typed_config"]
    path.write_text(json.dumps(config))


def _request(path: str, unit: str, more: bytes) -> bytes:
    identity = b"x-triune-unit: " + unit.encode() + b"\r\n" if unit else b""
    return b"GET " + path.encode() + b" HTTP/1.1\r\nhost: test\r\n" + identity + more + b"\r\n"


def _answer(reader: Any) -> tuple[int, dict[str, str]]:
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    reader.read(int(headers["content-length"]))
    return status, headers
