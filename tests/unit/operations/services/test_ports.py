"""Ports: chosen once, kept, fixed by the configuration, never a stranger's."""

from __future__ import annotations

import random
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from triune.core.errors import Conflict, Unavailable
from triune.operations.services import ports as module
from triune.operations.services.ports import SPANS, Ports, is_free


@pytest.fixture
def ports(tmp_path: Path) -> Ports:
    return Ports(tmp_path / "ports.json", {})


def _listen(port: int = 0) -> socket.socket:
    server = socket.socket()
    server.bind(("127.0.0.1", port))
    server.listen()
    return server


def test_a_port_is_the_same_at_every_call_and_in_every_process(ports: Ports) -> None:
    first = ports.get("web")
    assert ports.get("web") == first == Ports(ports.path, {}).get("web")
    assert is_free(first)


def test_names_never_share_a_port_even_when_asked_at_once(ports: Ports) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(ports.get, [f"s{number}" for number in range(40)]))
    assert len(set(got)) == 40
    assert set(ports.known().values()) == set(got)


def test_what_another_workspace_recorded_is_not_chosen_while_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NOTES", tmp_path / "notes")
    monkeypatch.setattr(module, "_in_range", lambda: range(20_000, 20_004))
    one, other = Ports(tmp_path / "one.json", {}), Ports(tmp_path / "other.json", {})
    first, second = one.get("a"), one.get("b")
    rest = {other.get("a"), other.get("b")}
    assert not rest & {first, second}
    with pytest.raises(Unavailable, match="no free port"):
        other.get("c")
    one.forget("a")
    assert other.get("c") == first
    one.path.unlink()
    assert other.get("d") == second


def test_a_port_that_goes_with_another_is_noted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NOTES", tmp_path / "notes")
    (name, span) = next(iter(SPANS.items()))
    first = Ports(tmp_path / "one.json", {}).get(name)
    monkeypatch.setattr(module, "_in_range", lambda: range(first + span, first + span + 1))
    with pytest.raises(Unavailable, match="no free port"):
        Ports(tmp_path / "other.json", {}).get("web")


def test_a_seeded_interpreter_chooses_other_ports_each_time(tmp_path: Path) -> None:
    chosen = set()
    for number in range(3):
        random.seed(1)
        chosen |= {Ports(tmp_path / f"{number}.json", {}).get(f"s{n}") for n in range(5)}
    assert len(chosen) == 15


def test_chosen_ports_lie_below_those_of_outgoing_connections(ports: Ports) -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest <= 21_000 or all(20_000 <= ports.get(f"s{n}") < lowest for n in range(30))


def test_the_configuration_fixes_a_port(ports: Ports) -> None:
    fixed = Ports(ports.path, {"web": 12345})
    assert fixed.get("web") == 12345
    assert not ports.path.exists()


def test_a_fixed_port_that_is_taken_is_a_conflict_that_names_the_process(tmp_path: Path) -> None:
    with _listen() as server:
        port = server.getsockname()[1]
        ports = Ports(tmp_path / "ports.json", {"web": port})
        with pytest.raises(Conflict) as caught:
            ports.settle(frozenset())
        ports.settle(frozenset({"web"}))
    assert caught.value.reference == "port-taken"
    assert f"port {port}" in caught.value.message
    assert "(pid " in caught.value.message
    assert caught.value.context is not None
    assert "[services.web]" in caught.value.context


def test_a_recorded_port_that_is_taken_is_chosen_anew_unless_its_service_runs(
    ports: Ports,
) -> None:
    port, other = ports.get("web"), ports.get("other")
    with _listen(port):
        ports.settle(frozenset({"web"}))
        assert ports.get("web") == port
        ports.settle(frozenset())
        assert ports.get("web") != port
        assert ports.get("other") == other


def test_parts_of_a_running_service_keep_their_ports(ports: Ports) -> None:
    port = ports.get("envoy.admin")
    with _listen(port):
        ports.settle(frozenset({"envoy"}))
        assert ports.get("envoy.admin") == port


def test_a_port_with_a_companion_is_chosen_anew_when_the_companion_is_taken(
    ports: Ports,
) -> None:
    name, span = next(iter(SPANS.items()))
    port = ports.get(name)
    with _listen(port + span):
        ports.settle(frozenset())
        assert ports.get(name) != port


def test_a_forgotten_port_may_go_to_another(ports: Ports) -> None:
    ports.get("web")
    ports.forget("web")
    ports.forget("web")
    assert ports.known() == {}
