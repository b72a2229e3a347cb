"""Every gateway, the fake one too, behaves like this."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateways import (
    EnvoyRig,
    MemoryRig,
    Rig,
    listening,
    server,
    split,
    upstream,
)
from tests.support.ports import free_port
from triune.core.assignment import bucket
from triune.core.errors import Refused, Unavailable
from triune.core.waiting import wait_until
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.gateway.backends.envoy import EnvoyGateway
from triune.delivery.gateway.model import Counters, Mirror, Route, Table, Target, Upstream

UNITS = [f"user-{number}" for number in range(200)]


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Two model servers, named for the release they answer with."""
    servers = {name: server(name) for name in ("a", "b")}
    with listening(*servers.values()):
        yield {name: one.port for name, one in servers.items()}


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
        rig.gateway.snapshot,
    ):
        with pytest.raises(Unavailable) as gone:
            attempt()
        assert gone.value.reference == "gateway-unreachable"


def test_a_split_sends_the_units_of_the_lower_buckets_to_the_first(
    rig: Rig, ports: dict[str, int]
) -> None:
    rig.gateway.apply(split(ports, a=3_000, b=7_000))
    for unit in UNITS:
        expected = "a" if bucket("flights", unit) < 3_000 else "b"
        assert rig.release_at("/flights/echo", unit) == f"release:{expected}"


def test_while_the_first_weight_rises_no_unit_comes_back(rig: Rig, ports: dict[str, int]) -> None:
    reached: set[str] = set()
    for weight in (0, 1, 500, 500, 4_000, 10_000):
        rig.gateway.apply(split(ports, a=weight, b=10_000 - weight))
        now = {u for u in UNITS if rig.release_at("/flights/echo", u) == "release:a"}
        assert reached <= now
        reached = now
    assert reached == set(UNITS)


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


def test_a_mirror_is_known_and_a_share_of_the_whole(ports: dict[str, int]) -> None:
    arms = tuple(upstream(name, port) for name, port in ports.items())
    whole = (Target("up-a", 10_000),)
    with pytest.raises(Refused, match="unknown upstream 'up-z'"):
        Table(arms, (Route("flights", whole, mirror=Mirror("up-z", 100)),))
    for share in (-1, 10_001):
        with pytest.raises(Refused, match=f"{share} of 10000 requests"):
            Table(arms, (Route("flights", whole, mirror=Mirror("up-b", share)),))


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
        x_triune_stratum="unit",
        x_triune_shadow="1",
    )
    seen = answer.json()
    assert seen["path"] == "/echo"
    assert seen["headers"]["x-triune-unit"] == "N725MQ"
    assert not {name for name in seen["headers"] if name.startswith("x-triune-")} - {
        "x-triune-unit"
    }
    assert answer.headers["x-triune-arm"] == "stable"


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
