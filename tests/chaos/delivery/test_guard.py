"""The guard with real processes: it goes back by itself, completes, and repairs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.delivery import ENDPOINT, Stage, staged
from triune.app.guard import present
from triune.core.waiting import wait_until
from triune.delivery.keeper import Guard
from triune.delivery.service import Delivery
from triune.delivery.state import Phase

pytestmark = pytest.mark.engine


@contextmanager
def guarded(stage: Stage, delivery: Delivery | None = None) -> Iterator[list[str]]:
    """The guard of a stage, running; yields what it tells."""
    told: list[str] = []
    stop = threading.Event()
    guard = Guard(delivery or stage.delivery, told.append)
    thread = threading.Thread(target=guard.run, args=(stop,))
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()


def watching(stage: Stage) -> tuple[str, str]:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    stage.delivery.start(ENDPOINT, second)
    return first, second


def await_phase(stage: Stage, phase: Phase, told: list[str]) -> None:
    wait_until(
        lambda: stage.store.load(ENDPOINT).phase is phase,
        timeout=15,
        what=f"{phase} after {told}",
        longest_pause=0.05,
    )


def test_traffic_is_back_within_two_seconds_of_the_death_of_a_release(stage: Stage) -> None:
    first, second = watching(stage)
    live = stage.store.load(ENDPOINT).live
    assert live is not None
    with guarded(stage) as told:
        time.sleep(0.3)
        died = time.monotonic()
        stage.behave(live, "die")
        wait_until(
            lambda: stage.call().headers.get("x-triune-release") == first,
            timeout=10,
            what="traffic is back",
            longest_pause=0.02,
        )
        took = time.monotonic() - died
        await_phase(stage, Phase.SERVING, told)
    assert took < 2.0
    (event,) = stage.events("rollout.rolled-back")
    assert (event.subject, event.payload["to"], event.actor) == (second, first, "service:guard")
    assert event.payload["check"] == "health"
    assert "no answer" in event.payload["last_error"]
    assert event.payload["failures"] == 2
    assert 0 < event.payload["seconds"] < 2.0


def test_a_release_that_is_healthy_but_answers_errors_is_left(stage: Stage) -> None:
    first, _ = watching(stage)
    live = stage.store.load(ENDPOINT).live
    assert live is not None
    with guarded(stage) as told:
        stage.behave(live, "error")
        wait_until(
            lambda: stage.call().headers.get("x-triune-release") == first,
            timeout=10,
            what="traffic is back",
            longest_pause=0.01,
        )
        await_phase(stage, Phase.SERVING, told)
    (event,) = stage.events("rollout.rolled-back")
    assert event.payload["check"] == "gateway-errors"
    assert "5xx" in event.payload["last_error"]


def test_after_a_quiet_window_the_rollout_is_complete(tmp_path: Path) -> None:
    with staged(tmp_path, window=1.0) as stage:
        first, second = watching(stage)
        with guarded(stage) as told:
            await_phase(stage, Phase.SERVING, told)
        assert stage.served() == second
        assert stage.processes.pid("arm-flights-delay-blue") is None
        (event,) = stage.events("rollout.completed")
        assert (event.subject, event.payload["stopped"]) == (second, first)
        assert stage.events("rollout.rolled-back") == []


def test_without_a_previous_release_a_dead_arm_is_started_again(stage: Stage) -> None:
    only = stage.release("delay@1")
    stage.delivery.start(ENDPOINT, only)
    with guarded(stage) as told:
        stage.processes.kill("arm-flights-delay-blue")
        wait_until(lambda: stage.call().status == 200, timeout=15, what=f"it is back: {told}")
    assert stage.served() == only
    assert stage.events("rollout.rolled-back") == []


def test_after_kill_9_of_everything_the_endpoint_is_what_it_was(stage: Stage) -> None:
    first, second = watching(stage)
    for process in ("envoy", "arm-flights-delay-blue", "arm-flights-delay-green"):
        stage.processes.kill(process)
    stage.start_envoy()
    with guarded(stage) as told:
        wait_until(lambda: stage.call().status == 200, timeout=15, what=f"it is back: {told}")
        assert stage.served() == second
        now = stage.store.load(ENDPOINT)
        assert now.previous is not None
        previous = now.previous
        wait_until(lambda: stage.is_ready(previous), timeout=10, what="the kept arm is back")
    assert previous.release == first
    assert stage.events("rollout.rolled-back") == []


def test_the_guard_finishes_what_a_killed_command_began(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    stage.command("start", second, "saved-switching")
    with guarded(stage) as told:
        await_phase(stage, Phase.WATCHING, told)
    assert stage.served() == second


def test_what_it_cannot_do_is_told_and_tried_again(stage: Stage) -> None:
    first, _ = watching(stage)
    live = stage.store.load(ENDPOINT).live
    assert live is not None
    stage.processes.kill("envoy")
    with guarded(stage) as told:
        stage.behave(live, "unready")
        wait_until(lambda: any("gateway" in t for t in told), timeout=10, what="it is told")
        stage.start_envoy()
        await_phase(stage, Phase.SERVING, told)
    assert stage.served() == first


def following(stage: Stage) -> Delivery:
    """The stage's delivery as the daemon has it: with the settings of each look."""
    workspace = present(stage.root)
    assert workspace.name == "stage"  # read at its start, for the ledger
    return Delivery(replace(stage.tools(), workspace=workspace))


def test_an_endpoint_that_was_declared_after_its_start_is_guarded(stage: Stage) -> None:
    settings = stage.root / "triune.toml"
    whole = settings.read_text()
    first, second = stage.release("delay@1"), stage.release("delay@2")
    settings.write_text('[workspace]\nname = "stage"\n')
    with guarded(stage, following(stage)) as told:
        settings.write_text(whole)
        for release in (first, second):
            stage.delivery.start(ENDPOINT, release)
        live = stage.store.load(ENDPOINT).live
        assert live is not None
        stage.behave(live, "unready")
        await_phase(stage, Phase.SERVING, told)
    assert stage.served() == first
    assert not [words for words in told if "endpoint-not-declared" in words]


def test_changed_limits_hold_from_the_next_look_on(stage: Stage) -> None:
    settings = stage.root / "triune.toml"
    quick = settings.read_text()
    first, _ = watching(stage)
    limits = "health_failures = 100\nhealth_interval_ms = 1000.0"
    settings.write_text(quick.replace("health_interval_ms = 100.0", limits))
    live = stage.store.load(ENDPOINT).live
    assert live is not None
    with guarded(stage, following(stage)) as told:
        stage.behave(live, "unready")
        time.sleep(1)
        assert stage.store.load(ENDPOINT).phase is Phase.WATCHING
        settings.write_text(quick)
        await_phase(stage, Phase.SERVING, told)
    assert stage.served() == first


def test_an_endpoint_that_is_no_longer_declared_is_guarded_while_it_has_users(
    stage: Stage,
) -> None:
    first, _ = watching(stage)
    (stage.root / "triune.toml").write_text('[workspace]\nname = "stage"\n')
    live = stage.store.load(ENDPOINT).live
    assert live is not None
    with guarded(stage, following(stage)) as told:
        stage.behave(live, "unready")
        await_phase(stage, Phase.SERVING, told)
    assert stage.served() == first
