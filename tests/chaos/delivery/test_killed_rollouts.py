"""kill -9 of the command at every step: users stay on the old release or reach the new one."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from tests.support.delivery import ENDPOINT, Stage
from triune.core.errors import Unavailable
from triune.delivery.state import Phase

pytestmark = pytest.mark.engine

BEFORE_THE_SWITCH = [
    "saved-starting",
    "starting",
    "started",
    "warming",
    "saved-smoking",
    "smoked",
    "saving-switching",
]
FROM_THE_SWITCH_ON = ["saved-switching", "switching", "switched", "saving-watching"]


@pytest.mark.parametrize("step", BEFORE_THE_SWITCH)
def test_killed_before_the_switch_all_is_undone(stage: Stage, step: str) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    before = stage.delivery.start(ENDPOINT, first).state
    killed = stage.command("start", second, step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert stage.served() == first
    assert replace(stage.delivery.recover(ENDPOINT), last=before.last) == before
    assert stage.served() == first
    assert stage.processes.pid("arm-flights-delay-green") is None
    (refused,) = stage.events("rollout.refused")
    assert refused.payload["test"] == "interrupted"
    assert len(stage.events("rollout.started")) == 2
    assert stage.delivery.start(ENDPOINT, second).state.phase is Phase.WATCHING
    assert stage.served() == second


@pytest.mark.parametrize("step", FROM_THE_SWITCH_ON)
def test_killed_from_the_switch_on_it_is_finished(stage: Stage, step: str) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    killed = stage.command("start", second, step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert stage.served() == (second if step in ("switched", "saving-watching") else first)
    now = stage.delivery.recover(ENDPOINT)
    assert now.phase is Phase.WATCHING
    assert stage.served() == second
    assert now.previous is not None
    assert stage.is_ready(now.previous)
    switches = [e for e in stage.events("rollout.switched") if e.subject == second]
    assert len(switches) == 1


@pytest.mark.parametrize(
    "step", ["saved-rolling-back", "rolled-back", "saved-retiring", "saving-serving"]
)
def test_a_killed_rollback_is_finished(stage: Stage, step: str) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    stage.delivery.start(ENDPOINT, second)
    killed = stage.command("rollback", "test", step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert stage.served() == (second if step == "saved-rolling-back" else first)
    assert stage.command("recover", "").returncode == 0
    assert stage.store.load(ENDPOINT).phase is Phase.SERVING
    assert stage.served() == first
    assert stage.processes.pid("arm-flights-delay-green") is None
    assert len(stage.events("rollout.rolled-back")) == 1


@pytest.mark.parametrize("step", ["saved-refusing", "refusing", "saving-empty"])
def test_a_killed_refusal_is_finished(stage: Stage, step: str) -> None:
    bad = stage.release("delay@1", "wrong-rows")
    killed = stage.command("start", bad, step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert stage.delivery.recover(ENDPOINT).phase is Phase.EMPTY
    assert stage.processes.pid("arm-flights-delay-blue") is None
    (refused,) = stage.events("rollout.refused")
    assert refused.payload["test"] == "contract"


def test_the_next_rollout_clears_up_after_a_killed_one(stage: Stage) -> None:
    first, second, third = (stage.release(f"delay@{n}") for n in (1, 2, 3))
    stage.delivery.start(ENDPOINT, first)
    stage.command("start", second, "smoking")
    now = stage.delivery.start(ENDPOINT, third).state
    assert now.previous is not None
    assert (stage.served(), now.previous.release) == (third, first)


def test_a_killed_envoy_serves_what_it_served_when_it_is_back(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    stage.delivery.start(ENDPOINT, second)
    stage.processes.kill("envoy")
    stage.start_envoy()
    assert stage.served() == second


def test_a_switch_while_the_gateway_is_dead_is_finished_when_it_is_back(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)

    def kill_the_gateway(step: str, words: str) -> None:
        if step == "smoked":
            stage.processes.kill("envoy")

    with pytest.raises(Unavailable) as gone:
        stage.delivery.start(ENDPOINT, second, observe=kill_the_gateway)
    assert gone.value.reference == "gateway-unreachable"
    assert stage.store.load(ENDPOINT).phase is Phase.SWITCHING
    stage.start_envoy()
    assert stage.delivery.recover(ENDPOINT).phase is Phase.WATCHING
    assert stage.served() == second
