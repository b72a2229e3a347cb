"""Who answers whom during a rollout: sticky units, a fresh baseline, the whole old bundle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.delivery import ENDPOINT, SLUG
from tests.support.rollout_lab import PATIENT, QUICK, Lab, laboratory
from tests.support.rollouts import Answered, RolloutStage, Traffic, in_canary, rolling
from triune.core.assignment import bucket
from triune.core.waiting import wait_until
from triune.delivery.client import HttpClient
from triune.delivery.rollout.model import Ticket
from triune.delivery.state import Colour, Outcome, Phase, process_name

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("rollout-arms")]

UNITS = 10_000
CONNECTIONS = 16
BASELINE = "baseline = true\n"
TABLES = {
    "beside/good": BASELINE + QUICK.replace("[20, 50]", "[20, 40]"),
    "beside/bad": BASELINE + PATIENT.replace("[20, 50]", "[20, 40]"),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("arms"), TABLES) as made:
        yield made


class Asking:
    """Asks for units over several connections and notes which arm answered each."""

    def __init__(self, port: int, units: Sequence[str]) -> None:
        self._port = port
        self._left = iter(units)
        self.answers: list[tuple[str, str]] = []

    async def all(self) -> None:
        await asyncio.gather(*(self._connection() for _ in range(CONNECTIONS)))

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}'
        for unit in self._left:
            writer.write(
                f"POST /{ENDPOINT}/v2/models/{SLUG}/infer HTTP/1.1\r\nhost: x\r\n"
                f"x-triune-unit: {unit}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            await reader.readexactly(int(fields["content-length"]))
            assert head.startswith("http/1.1 200")
            self.answers.append((unit, fields["x-triune-arm"]))
        writer.close()


async def asked_while_rising(
    stage: RolloutStage, ticket: Ticket, units: Sequence[str], raise_to: int
) -> list[tuple[str, str]]:
    """Ask for every unit once; in the midst of it the candidate's weight rises."""
    asking = Asking(stage.ports("envoy"), units)
    all_asked = asyncio.create_task(asking.all())
    while len(asking.answers) < len(units) // 3:
        await asyncio.sleep(0.005)
    await asyncio.to_thread(stage.conductor.step, ticket, raise_to)
    await all_asked
    return asking.answers


def test_no_unit_that_reached_the_candidate_ever_leaves_it_while_the_weight_rises(
    tmp_path: Path,
) -> None:
    draw = random.Random(7)
    units = [f"user-{number}" for number in range(UNITS)]
    paths: dict[str, list[str]] = {unit: [] for unit in units}
    weight = 1000
    with rolling(tmp_path, driven=False) as stage:
        ticket = in_canary(stage, weight)
        for higher in (3000, 6000):
            draw.shuffle(units)
            for unit, arm in asyncio.run(asked_while_rising(stage, ticket, units, higher)):
                place = bucket(ENDPOINT, unit)
                assert arm == ("candidate" if place < weight else "stable") or (
                    arm == "candidate" and place < higher
                )
                paths[unit].append(arm)
            weight = higher
    assert {len(path) for path in paths.values()} == {2}
    assert ["candidate", "stable"] not in paths.values()
    assert sum(path[-1] == "candidate" for path in paths.values()) > UNITS * 0.4


def expected(endpoint: str, answer: Answered, weight: int) -> str:
    """Who answers a unit beside a baseline as large as the candidate."""
    place = bucket(endpoint, answer.unit)
    if place < weight:
        return "candidate"
    return "baseline" if place >= 10_000 - weight else "stable"


@pytest.mark.parametrize(
    ("endpoint", "behaviour", "outcome"),
    [
        ("beside/good", "ok", Outcome.PROMOTED),
        ("beside/bad", "fails-40", Outcome.ROLLED_BACK),
    ],
)
def test_a_fresh_baseline_gets_as_many_units_as_the_candidate_and_goes_with_it(
    lab: Lab, endpoint: str, behaviour: str, outcome: Outcome
) -> None:
    live = lab.serve(endpoint)
    grey = process_name(endpoint, Colour.GREY)
    with Traffic(lab, 80, endpoint=endpoint) as traffic:
        with lab.driven(endpoint, hold=("stepped:2",)):
            ticket = lab.start(endpoint, lab.candidate(endpoint, behaviour))
            lab.await_held(endpoint, "stepped:2")
            pending = lab.store.load(endpoint).pending
            assert pending is not None
            assert pending.baseline is not None
            assert pending.baseline.release == live
            assert lab.processes.pid(grey) is not None
            weights = lab.routed(endpoint)
            assert weights[pending.baseline.upstream] == weights[pending.arm.upstream] == 2000
            first = len(traffic.answers) + 1
            wait_until(lambda: len(traffic.answers) > first + 100, timeout=30, what="asked")
            beside = traffic.answers[first:-1]
            lab.let_go(endpoint)
            assert lab.settle(ticket) == outcome.value
        assert lab.processes.pid(grey) is None
        assert lab.others(endpoint) == []
        assert lab.agrees(endpoint)
    at_20 = [(answer.arm, expected(endpoint, answer, 2000)) for answer in beside]
    assert [arm for arm, _ in at_20] == [arm for _, arm in at_20]
    assert {arm for arm, _ in at_20} == {"stable", "candidate", "baseline"}
    finished = lab.await_told(ticket)
    assert finished.payload["outcome"] == outcome.value
    failed = [a for a in traffic.answers if a.status != 200]
    assert {answer.arm for answer in failed} <= {"candidate"}


@pytest.mark.parametrize("dead", [False, True], ids=["kept", "dead"])
def test_a_rollback_restores_the_whole_bundle(tmp_path: Path, dead: bool) -> None:
    """The settings of the release, not those of triune.toml at that moment; also when the kept
    process has died and is started anew."""
    with rolling(tmp_path, driven=False) as stage:
        config = stage.root / "triune.toml"
        plain = config.read_text()

        def declared(deadline_ms: float, max_rows: int) -> RolloutStage:
            more = f"\ndeadline_ms = {deadline_ms}\nmax_rows = {max_rows}\n"
            config.write_text(plain.replace('model = "delay"', f'model = "delay"{more}', 1))
            return RolloutStage(stage.root, with_envoy=False)

        before = declared(100.0, 10)
        old = before.release("delay@1")
        before.delivery.start(ENDPOINT, old)
        after = declared(200.0, 20)
        new = after.release("delay@2")
        ticket = after.rollouts.start(ENDPOINT, new)
        taken = after.conductor
        for step in (taken.prepare, taken.warm, taken.smoke, taken.promote):
            step(ticket)
        assert taken.where(ticket).phase is Phase.WATCHING
        assert settings(after) == (new, 200.0, 20)
        changed = {change.key for change in after.delivery.diff(old, new)}
        assert {"serving.deadline_ms", "serving.max_rows"} <= changed
        if dead:
            previous = after.store.load(ENDPOINT).previous
            assert previous is not None
            after.processes.kill(previous.process)
        after.delivery.rollback(ENDPOINT, "users complain")
        assert settings(after) == (old, 100.0, 10)
        for other in (before, after):
            other.ledger.close()


def settings(stage: RolloutStage) -> tuple[str, float, int]:
    """The release that users reach, and with which settings its model server runs."""
    live = stage.store.load(ENDPOINT).live
    assert live is not None
    assert stage.served() == live.release
    with HttpClient("127.0.0.1", live.port, timeout=5) as client:
        found = client.request("GET", "/settings").json()
    return live.release, found["deadline_ms"], found["max_rows"]
