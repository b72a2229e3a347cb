"""What every gateway tells of its answers: tallies, by upstream and stratum."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateways import (
    EnvoyRig,
    MemoryRig,
    Recording,
    Rig,
    Silent,
    listening,
    server,
    split,
)
from tests.support.ports import free_port
from tests.support.upstream import Upstream as Server
from triune.core.waiting import wait_until
from triune.delivery.gateway.backends import envoy_readings
from triune.delivery.gateway.model import (
    Route,
    Snapshot,
    Stratum,
    Table,
    Tally,
    Target,
    Upstream,
)

UNIT, ANONYMOUS = Stratum.UNIT, Stratum.ANONYMOUS


class Breaking(Server):
    """Sends half of the answer that it announces, then resets or, if it ``stalls``, waits."""

    async def exchange(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await writer.drain()
        if self.behaviour == "stalls":
            await reader.read()
        writer.transport.abort()


class Degraded(Server):
    """Answers, and says that the fallback did."""

    async def exchange(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readexactly(2)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-triune-degraded: deadline\r\n\r\n{}"
        )
        await writer.drain()


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


@pytest.fixture
def model() -> Iterator[Recording]:
    one = server("a")
    with listening(one):
        yield one


def test_a_gateway_that_was_asked_nothing_tells_nothing(rig: Rig, model: Recording) -> None:
    rig.gateway.apply(split({"a": model.port}, a=10_000))
    assert rig.gateway.snapshot().tallies == {}


def test_the_epoch_stays_until_the_gateway_is_started_again(rig: Rig) -> None:
    first = rig.gateway.snapshot().epoch
    assert rig.gateway.snapshot().epoch == first
    rig.stop()
    rig.start()
    assert rig.gateway.snapshot().epoch != first


@pytest.mark.engine
def test_requests_are_told_by_stratum_with_their_times(envoy: EnvoyRig, model: Recording) -> None:
    envoy.gateway.apply(split({"a": model.port}, a=10_000))
    for number in range(7):
        envoy.call("/flights/echo", x_triune_unit=f"user-{number}")
    for headers in ({}, {"x_triune_unit": ""}, {"x_triune_stratum": "unit"}):
        envoy.call("/flights/echo", **headers)
    envoy.call("/nowhere")
    seen = settled(envoy, 10)
    assert set(seen.tallies) == {("up-a", UNIT), ("up-a", ANONYMOUS)}
    assert numbers(seen, UNIT) == (7, 0, 0, 0)
    assert numbers(seen, ANONYMOUS) == (3, 0, 0, 0)
    for tally in seen.tallies.values():
        assert tally.abandoned == 0
        assert sum(tally.latency.values()) == tally.requests
        assert list(tally.latency) == sorted(tally.latency)
        assert all(edge == float(f"{edge:.1e}") > 0 for edge in tally.latency)


@pytest.mark.engine
def test_errors_timeouts_and_degraded_answers_are_told_apart(
    envoy: EnvoyRig, model: Recording
) -> None:
    late, fallback = (kind(free_port(), "r", "own", "m") for kind in (Silent, Degraded))
    model.behaviour = "error"
    ports = {"error": model.port, "late": late.port, "fallback": fallback.port, "dead": free_port()}
    with listening(late, fallback):
        envoy.gateway.apply(endpoints(ports, late=0.2))
        for name in ports:
            envoy.call(f"/{name}/infer")
        seen = settled(envoy, 4)
    found = {name: numbers(seen, ANONYMOUS, name) for name in ports}
    assert found == {
        "error": (1, 1, 0, 0),
        "late": (1, 1, 1, 0),
        "fallback": (1, 0, 0, 1),
        "dead": (1, 1, 0, 0),
    }


@pytest.mark.engine
def test_an_answer_that_breaks_off_is_an_error_without_a_time(envoy: EnvoyRig) -> None:
    broken = {name: Breaking(free_port(), "r", "own", "m", name) for name in ("stalls", "resets")}
    with listening(*broken.values()):
        envoy.gateway.apply(endpoints({n: s.port for n, s in broken.items()}, stalls=0.2))
        for name in broken:
            with pytest.raises(Exception, match=r"IncompleteRead|reset by peer"):
                envoy.call(f"/{name}/infer")
        seen = settled(envoy, 2)
    assert numbers(seen, ANONYMOUS, "stalls") == (1, 1, 1, 0)
    assert numbers(seen, ANONYMOUS, "resets") == (1, 1, 0, 0)
    assert all(tally.latency == {} for tally in seen.tallies.values())


@pytest.mark.engine
def test_what_callers_give_up_on_is_counted_apart(envoy: EnvoyRig, model: Recording) -> None:
    hanging = Silent(free_port(), "r", "own", "m")
    with listening(hanging):
        envoy.gateway.apply(endpoints({"good": model.port, "hanging": hanging.port}))
        envoy.call("/good/echo")
        leave(envoy, "hanging", unit="ada")
        leave(envoy, "hanging")
        seen = settled(envoy, 3)
    assert seen.tallies["hanging", UNIT] == Tally(abandoned=1)
    assert seen.tallies["hanging", ANONYMOUS] == Tally(abandoned=1)
    assert numbers(seen, ANONYMOUS, "good") == (1, 0, 0, 0)


@pytest.mark.engine
def test_who_leaves_in_the_middle_of_the_answer_has_given_up(envoy: EnvoyRig) -> None:
    stalling = Breaking(free_port(), "r", "own", "m", "stalls")
    with listening(stalling):
        envoy.gateway.apply(endpoints({"stalling": stalling.port}))
        leave(envoy, "stalling", after=b"half")
        seen = settled(envoy, 1)
    assert seen.tallies == {("stalling", ANONYMOUS): Tally(abandoned=1)}


@pytest.mark.engine
def test_readings_under_load_never_fall_and_always_add_up(
    envoy: EnvoyRig, model: Recording
) -> None:
    envoy.gateway.apply(split({"a": model.port}, a=10_000))
    last = 0
    for _ in range(10):
        envoy.arms("/flights/echo", [f"user-{n}" for n in range(50)])
        tally = envoy.gateway.snapshot().tallies.get(("up-a", UNIT), Tally())
        assert last <= tally.requests == sum(tally.latency.values())
        last = tally.requests
    assert numbers(settled(envoy, 500), UNIT) == (500, 0, 0, 0)


@pytest.mark.engine
def test_a_restart_begins_again_from_zero(envoy: EnvoyRig, model: Recording) -> None:
    envoy.gateway.apply(split({"a": model.port}, a=10_000))
    envoy.call("/flights/echo")
    before = settled(envoy, 1)
    envoy.processes.kill("envoy")
    envoy.start()
    after = envoy.gateway.snapshot()
    assert after.tallies == {}
    assert after.epoch != before.epoch


def test_a_request_that_was_not_assigned_is_anonymous() -> None:
    bins = [{"lower_bound": 229.99999999999997, "width": 10, "count": 2}]
    name = "triune.answer_us.upstream.up-a.stratum..status.200.flags.-.degraded."
    answer = {"stats": [{"histograms": {"details": [{"name": name, "totals": bins}]}}]}
    assert envoy_readings.tallies(answer) == {("up-a", ANONYMOUS): Tally(2, latency={230.0: 2})}


def endpoints(ports: dict[str, int], **timeouts: float) -> Table:
    """Each upstream with an endpoint of its name; timeouts in seconds, 10 for the others."""
    return Table(
        tuple(Upstream(name, "127.0.0.1", port, "stable", name) for name, port in ports.items()),
        tuple(Route(name, (Target(name, 10_000),), timeouts.get(name, 10.0)) for name in ports),
    )


def leave(envoy: EnvoyRig, name: str, unit: str = "", after: bytes = b"") -> None:
    """Ask an endpoint, and hang up when the model server is at it and ``after`` has come."""
    head = f"POST /{name}/infer HTTP/1.1\r\nhost: x\r\nx-triune-unit: {unit}\r\n"
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as caller:
        caller.sendall(f"{head}content-length: 0\r\n\r\n".encode())
        waits(envoy, name, 1)
        came = b""
        while after not in came:
            came += caller.recv(1024)
    waits(envoy, name, 0)


def waits(envoy: EnvoyRig, name: str, requests: int) -> None:
    """Wait until so many requests wait for an upstream's answer."""
    wait_until(
        lambda: envoy.gateway.in_flight(name) == requests, timeout=10, what=f"{requests} wait"
    )


def settled(envoy: EnvoyRig, requests: int) -> Snapshot:
    """The snapshot once that many requests are in it."""

    def told() -> bool:
        tallies = envoy.gateway.snapshot().tallies.values()
        return sum(tally.requests + tally.abandoned for tally in tallies) >= requests

    wait_until(told, timeout=10, what=f"{requests} requests are counted")
    return envoy.gateway.snapshot()


def numbers(seen: Snapshot, stratum: Stratum, name: str = "up-a") -> tuple[int, int, int, int]:
    tally = seen.tallies[name, stratum]
    return tally.requests, tally.errors, tally.timeouts, tally.degraded
