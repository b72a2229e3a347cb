"""Every gateway, the fake one too, behaves like this."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.delivery import LocalProcesses, free_port
from tests.support.upstream import Upstream as Server
from triune.core.errors import Refused, Unavailable
from triune.core.waiting import wait_until
from triune.delivery.client import Answer, HttpClient
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.gateway.backends.envoy import EnvoyGateway
from triune.delivery.gateway.backends.memory import MemoryGateway
from triune.delivery.gateway.model import Counters, Route, Table, Target, Upstream
from triune.delivery.gateway.ports import Gateway


class Rig(Protocol):
    """A gateway under test, and a way to ask it."""

    gateway: Gateway

    def release_at(self, path: str) -> str | None: ...
    def stop(self) -> None: ...


class MemoryRig:
    def __init__(self) -> None:
        self.gateway = MemoryGateway()

    def release_at(self, path: str) -> str | None:
        found = self.gateway.answers(path)
        return found.release if found else None

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

    def release_at(self, path: str) -> str | None:
        answer = self.call(path)
        return answer.headers["x-triune-release"] if answer.status == 200 else None

    def stop(self) -> None:
        self.processes.stop_all()


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Two model servers, named for the release they answer with."""
    servers = {name: Server(free_port(), f"release:{name}", "own", "m") for name in ("a", "b")}
    loop = asyncio.new_event_loop()

    async def listen() -> None:
        for server in servers.values():
            await asyncio.start_server(server.connection, "127.0.0.1", server.port)

    loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield {name: server.port for name, server in servers.items()}
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(params=["memory", pytest.param("envoy", marks=pytest.mark.engine)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made: Rig = MemoryRig() if request.param == "memory" else EnvoyRig(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[EnvoyRig]:
    made = EnvoyRig(tmp_path)
    yield made
    made.stop()


def upstream(name: str, port: int, arm: str = "stable") -> Upstream:
    return Upstream(f"up-{name}", "127.0.0.1", port, arm, f"release:{name}")


def table(ports: dict[str, int], **routes: str) -> Table:
    """``table(ports, flights="a")``: both upstreams known, the endpoint routed to one."""
    return Table(
        tuple(upstream(name, port) for name, port in ports.items()),
        tuple(
            Route(endpoint.replace("__", "/"), (Target(f"up-{name}", 10_000),))
            for endpoint, name in routes.items()
        ),
    )


def test_a_table_is_live_when_apply_returns(rig: Rig, ports: dict[str, int]) -> None:
    assert rig.release_at("/flights/echo") is None
    for name in ("a", "b", "a", "b"):
        rig.gateway.apply(table(ports, flights=name))
        assert rig.release_at("/flights/echo") == f"release:{name}"


def test_applying_a_table_again_changes_nothing(rig: Rig, ports: dict[str, int]) -> None:
    for _ in range(3):
        rig.gateway.apply(table(ports, flights="a"))
        assert rig.release_at("/flights/echo") == "release:a"


def test_the_longest_endpoint_matches_and_only_whole_names(rig: Rig, ports: dict[str, int]) -> None:
    rig.gateway.apply(table(ports, flights="a", flights__delay="b"))
    assert rig.release_at("/flights/echo") == "release:a"
    assert rig.release_at("/flights/delay/echo") == "release:b"
    assert rig.release_at("/flightsdelay/echo") is None


def test_an_upstream_stays_until_it_is_pruned(rig: Rig, ports: dict[str, int]) -> None:
    rig.gateway.apply(table(ports, flights="a"))
    only_b = Table((upstream("b", ports["b"]),), (Route("flights", (Target("up-b", 10_000),)),))
    rig.gateway.apply(only_b)
    rig.gateway.apply(table(ports, flights="a"))
    assert rig.release_at("/flights/echo") == "release:a"
    rig.gateway.apply(only_b)
    rig.gateway.prune(only_b)
    assert rig.release_at("/flights/echo") == "release:b"


def test_an_unknown_upstream_has_no_counts(rig: Rig) -> None:
    assert rig.gateway.in_flight("nobody") == 0
    assert rig.gateway.counters("nobody") == Counters(0, 0)


def test_a_dead_gateway_is_unavailable(rig: Rig, ports: dict[str, int]) -> None:
    rig.stop()
    for attempt in (
        lambda: rig.gateway.apply(table(ports, flights="a")),
        lambda: rig.gateway.counters("up-a"),
    ):
        with pytest.raises(Unavailable) as gone:
            attempt()
        assert gone.value.reference == "gateway-unreachable"


@pytest.mark.parametrize("weights", [(9_999,), (10_000, 1), (10_001, -1), ()])
def test_weights_must_sum_to_ten_thousand(weights: tuple[int, ...]) -> None:
    arms = tuple(upstream(str(n), 1) for n in range(2))
    targets = tuple(Target(f"up-{n}", weight) for n, weight in enumerate(weights))
    with pytest.raises(Refused) as refused:
        Table(arms, (Route("flights", targets),))
    assert refused.value.reference == "gateway-table-invalid"


def test_a_table_names_only_upstreams_it_has() -> None:
    with pytest.raises(Refused, match="unknown upstream 'up-z'"):
        Table((), (Route("flights", (Target("up-z", 10_000),)),))
    with pytest.raises(Refused, match="two upstreams"):
        Table((upstream("a", 1), upstream("a", 2)))
    with pytest.raises(Refused, match="two routes"):
        Table((upstream("a", 1),), (Route("f", (Target("up-a", 10_000),)),) * 2)


# What only a real gateway can show


@pytest.mark.engine
def test_the_prefix_is_cut_off_and_spoofed_headers_are_removed(
    envoy: EnvoyRig, ports: dict[str, int]
) -> None:
    envoy.gateway.apply(table(ports, flights__delay="a"))
    answer = envoy.call(
        "/flights/delay/echo",
        x_triune_unit="N725MQ",
        x_triune_release="spoofed",
        x_triune_prediction="spoofed",
        x_triune_bucket="1",
    )
    seen = answer.json()
    assert seen["path"] == "/echo"
    assert seen["headers"]["x-triune-unit"] == "N725MQ"
    assert not {name for name in seen["headers"] if name.startswith("x-triune-")} - {
        "x-triune-unit"
    }
    assert answer.headers["x-triune-arm"] == "stable"


@pytest.mark.engine
def test_weights_divide_the_traffic(envoy: EnvoyRig, ports: dict[str, int]) -> None:
    arms = (upstream("a", ports["a"]), upstream("b", ports["b"], "candidate"))
    targets = (Target("up-a", 7_000), Target("up-b", 3_000))
    envoy.gateway.apply(Table(arms, (Route("flights", targets),)))
    answers = [envoy.call("/flights/echo") for _ in range(300)]
    share = sum(a.headers["x-triune-arm"] == "candidate" for a in answers) / len(answers)
    assert 0.15 < share < 0.45
    assert all(
        (a.headers["x-triune-arm"] == "candidate") == (a.headers["x-triune-release"] == "release:b")
        for a in answers
    )


@pytest.mark.engine
def test_the_gateways_own_answers_are_typed(envoy: EnvoyRig, ports: dict[str, int]) -> None:
    dead = Upstream("up-dead", "127.0.0.1", free_port(), "stable", "release:dead")
    envoy.gateway.apply(Table((dead,), (Route("flights", (Target("up-dead", 10_000),)),)))
    for path, status, reference in (
        ("/nowhere", 404, "endpoint-unknown"),
        ("/flights/x", 503, "release-unreachable"),
        ("/flights%2fx", 400, "gateway-refused"),
    ):
        answer = envoy.call(path)
        assert answer.status == status
        assert answer.json()["error"] == reference
        assert answer.headers["content-type"] == "application/json"
    wait_until(
        lambda: envoy.gateway.counters("up-dead") == Counters(1, 1), timeout=5, what="counted"
    )


@pytest.mark.engine
def test_a_table_survives_kill_9(envoy: EnvoyRig, ports: dict[str, int]) -> None:
    envoy.gateway.apply(table(ports, flights="a"))
    envoy.processes.kill("envoy")
    envoy.start()
    assert envoy.release_at("/flights/echo") == "release:a"


@pytest.mark.engine
def test_routes_envoy_does_not_take_are_reported_and_the_old_ones_stay(
    envoy: EnvoyRig, ports: dict[str, int]
) -> None:
    envoy.gateway.apply(table(ports, flights="a"))
    impatient = EnvoyGateway(envoy.folder / "envoy", envoy.admin, live_seconds=0.3)
    bad = Upstream("up-a", "not-an-address", ports["a"], "stable", "release:a")
    with pytest.raises(Unavailable) as refused:
        impatient.apply(Table((bad,), (Route("flights", (Target("up-a", 10_000),)),)))
    assert refused.value.reference == "gateway-not-live"
    assert envoy.release_at("/flights/echo") == "release:a"


@pytest.mark.engine
def test_the_access_log_has_one_json_line_for_each_request(
    envoy: EnvoyRig, ports: dict[str, int]
) -> None:
    envoy.gateway.apply(table(ports, flights="a"))
    envoy.call("/flights/echo", x_triune_unit='quote " and newline')
    log = envoy_bootstrap.access_log(envoy.folder / "envoy")
    wait_until(lambda: log.read_bytes().endswith(b"\n"), timeout=5, what="the log is written")
    (line,) = log.read_text().splitlines()
    fields = json.loads(line)
    assert fields["unit"] == 'quote " and newline'
    assert (fields["status"], fields["endpoint"], fields["upstream"]) == (200, "flights", "up-a")
    assert fields["upstream_release"] == "release:a"
