"""A shadow behind the real gateway: both model servers' answers are kept, paired and compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.delivery import LocalProcesses
from tests.support.models import make, shelf_of
from tests.support.ports import free_port
from tests.support.serving import Server, column_body, running, spec_for, stop
from triune.core.clock import SystemClock
from triune.core.waiting import wait_until
from triune.delivery import accesslog
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.gateway.backends.envoy import EnvoyGateway
from triune.delivery.gateway.model import Mirror, Route, Table, Target, Upstream
from triune.delivery.rollout.comparing import Rule
from triune.delivery.rollout.shadow import ShadowState, ShadowTick, ShadowWatch
from triune.ledger.envelope import microseconds

pytestmark = pytest.mark.engine

RELEASES = {"live": "release:tiny-model@00000000000a", "shadow": "release:tiny-model@00000000000b"}
ROUTE = "/tiny/v2/models/tiny-model/infer"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf_of(tmp_path_factory)


@dataclass
class Rig:
    """Envoy, the live model server and its shadow, and a watch over what they keep."""

    folder: Path
    servers: dict[str, Server]
    port: int
    state: ShadowState
    watch: ShadowWatch

    def ask(self, body: Any) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}{ROUTE}", json=body, timeout=20)

    def look(self) -> ShadowTick:
        """All that is known by now."""
        _, self.state = self.watch.look(self.state)
        return self.state.total


@pytest.fixture
def rig(tmp_path: Path, shelf: Path) -> Iterator[Rig]:
    kinds = {"live": "columns", "shadow": "histogram"}
    with ExitStack() as stack:
        servers = {}
        for arm, kind in kinds.items():
            spec = spec_for(
                make(kind, shelf),
                free_port(),
                arm=arm,
                release=RELEASES[arm],
                workers=2,
                samples=tmp_path / f"{arm}.samples",
            )
            (tmp_path / arm).mkdir()
            servers[arm] = stack.enter_context(running(spec, tmp_path / arm))
        port = _mirroring(tmp_path, servers, stack)
        clock = SystemClock()
        paths = [tmp_path / f"{arm}.samples" for arm in kinds]
        watch = ShadowWatch(paths[0], paths[1], Rule(), clock, patience_s=1.0)
        yield Rig(tmp_path, servers, port, ShadowState.begin(microseconds(clock.now())), watch)


def _mirroring(folder: Path, servers: dict[str, Server], stack: ExitStack) -> int:
    """An Envoy that sends everything to the live server and mirrors it; its port."""
    admin, port = free_port(), free_port()
    processes = LocalProcesses(folder)
    stack.callback(processes.stop_all)
    processes.ensure(envoy_bootstrap.process(folder / "envoy", admin, port, workers=1))
    upstreams = tuple(
        Upstream(arm, "127.0.0.1", server.spec.port, "stable", RELEASES[arm])
        for arm, server in servers.items()
    )
    route = Route("tiny", (Target("live", 10_000),), mirror=Mirror("shadow", 10_000))
    EnvoyGateway(folder / "envoy", admin, live_seconds=10).apply(Table(upstreams, (route,)))
    return port


def bodies(count: int) -> list[Any]:
    random = np.random.default_rng(11)
    return [
        column_body(**{name: [float(value)] for name, value in zip("abc", row, strict=True)})
        for row in random.normal(size=(count, 3))
    ]


def test_mirrored_answers_are_paired_and_compared(rig: Rig) -> None:
    asked = bodies(40)
    replies = [rig.ask(body) for body in asked]
    assert {reply.status_code for reply in replies} == {200}
    assert {reply.headers["x-triune-release"] for reply in replies} == {RELEASES["live"]}
    wait_until(lambda: rig.look().pairs == 40, timeout=20, what="40 pairs")
    shadows = [httpx.post(rig.servers["shadow"].infer_url, json=body).json() for body in asked]
    scores = np.array(
        [
            [answer["outputs"][1]["data"][0] for answer in pair]
            for pair in zip((reply.json() for reply in replies), shadows, strict=True)
        ]
    )
    total = rig.look()
    differ = (scores[:, 0] >= 0.5) != (scores[:, 1] >= 0.5)
    assert total.disagreements == differ.sum() > 0
    assert total.distance == pytest.approx(np.abs(scores[:, 0] - scores[:, 1]).mean())
    assert (total.failures, total.lost, total.skipped, total.malformed) == (0, 0, 0, 0)
    assert sum(total.live_us.values()) == sum(total.shadow_us.values()) == 40


def test_a_dead_shadow_fails_and_no_user_notices(rig: Rig) -> None:
    assert rig.ask(bodies(1)[0]).status_code == 200
    wait_until(lambda: rig.look().pairs == 1, timeout=20, what="a pair")
    stop(rig.servers["shadow"])
    assert {rig.ask(body).status_code for body in bodies(10)} == {200}
    wait_until(lambda: rig.look().failures == 10, timeout=20, what="10 failures")
    assert (rig.state.total.pairs, rig.state.total.lost) == (1, 0)


def test_the_access_log_says_which_worker_answered(rig: Rig) -> None:
    replies = [rig.ask(body) for body in bodies(10)]
    log = envoy_bootstrap.access_log(rig.folder / "envoy")

    def events() -> dict[str, Any]:
        lines = [(accesslog.parse(raw), raw) for raw in log.read_bytes().splitlines()]
        made = [accesslog.to_event(line, raw, "tiny") for line, raw in lines if line is not None]
        return {event.id: event.payload for event in made if event is not None}

    wait_until(lambda: len(events()) == 10, timeout=20, what="ten lines")
    for reply in replies:
        payload = events()[reply.headers["x-triune-prediction"]]
        assert payload["instance"] == reply.headers["x-triune-instance"]
