"""Blue-green against real Envoy, real ledger and small real model servers."""

from __future__ import annotations

import errno
import threading
from dataclasses import replace

import pytest

from tests.support.delivery import ENDPOINT, Stage
from triune.core.errors import CheckFailed, Conflict, NotFound, Refused, Unavailable
from triune.delivery.state import Colour, Phase

pytestmark = pytest.mark.engine


def test_the_first_release_serves_and_there_is_none_to_go_back_to(stage: Stage) -> None:
    first = stage.release("delay@1")
    rollout = stage.delivery.start(ENDPOINT, first, actor="user:test")
    assert rollout.state.phase is Phase.SERVING
    assert stage.served() == first
    names = [result.name for result in rollout.smoke]
    assert names == ["signature", "contract", "bad-input", "identity", "latency", "own"]
    with pytest.raises(Refused) as refused:
        stage.delivery.rollback(ENDPOINT, "why not")
    assert refused.value.reference == "rollback-no-previous"


def test_a_second_release_takes_all_traffic_and_the_first_is_kept(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    rollout = stage.delivery.start(ENDPOINT, second)
    assert rollout.state.phase is Phase.WATCHING
    assert rollout.state.live is not None
    assert rollout.state.live.colour is Colour.GREEN
    assert rollout.state.previous is not None
    assert rollout.state.previous.release == first
    assert stage.is_ready(rollout.state.previous)
    assert {stage.served() for _ in range(20)} == {second}
    (switch,) = [e for e in stage.events("rollout.switched") if e.subject == second]
    assert switch.payload["previous"] == first
    started = [e for e in stage.events("rollout.started") if e.subject == second]
    assert switch.causes == (started[0].id,)


def test_a_third_release_takes_the_place_of_the_one_that_was_kept(stage: Stage) -> None:
    releases = [stage.release(f"delay@{n}") for n in (1, 2, 3)]
    for release in releases:
        now = stage.delivery.start(ENDPOINT, release).state
    assert now.previous is not None
    assert (now.previous.release, stage.served()) == (releases[1], releases[2])
    (completed,) = stage.events("rollout.completed")
    assert (completed.subject, completed.payload["stopped"]) == (releases[1], releases[0])
    assert releases[2] in completed.payload["reason"]


def test_it_is_said_beforehand_which_release_can_no_longer_be_returned_to(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    bad = stage.release("delay@3", "error")
    seen: list[tuple[str, str]] = []
    for release in (first, second):
        stage.delivery.start(ENDPOINT, release, observe=lambda *told: seen.append(told))
    assert "making-room" not in [step for step, _ in seen]
    seen.clear()
    with pytest.raises(CheckFailed):
        stage.delivery.start(ENDPOINT, bad, observe=lambda *told: seen.append(told))
    step, words = seen[0]
    assert step == "making-room"
    assert first in words
    assert "no longer" in words
    assert stage.served() == second


def test_what_was_written_for_an_arm_goes_with_it(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    bad = stage.release("delay@3", "error")

    def written() -> set[str]:
        return {path.stem for path in (stage.root / "specs").iterdir()}

    stage.delivery.start(ENDPOINT, first)
    now = stage.delivery.start(ENDPOINT, second).state
    assert now.live is not None
    assert now.previous is not None
    assert written() == {now.live.upstream, now.previous.upstream}
    now = stage.delivery.rollback(ENDPOINT, "users complain")
    assert now.live is not None
    assert written() == {now.live.upstream}
    with pytest.raises(CheckFailed):
        stage.delivery.start(ENDPOINT, bad)
    assert written() == {now.live.upstream}


@pytest.mark.parametrize(
    ("behaviour", "test", "words"),
    [
        ("never-starts", "start", "does not load"),
        ("error", "warm", "answered 500"),
        ("wrong-rows", "contract", "rows"),
        ("crash-on-bad-input", "bad-input", "500"),
        ("wrong-release", "identity", "x-triune-release"),
        ("same-prediction", "identity", "share the prediction id"),
        ("slow", "latency", "the limit is 60 ms"),
    ],
)
def test_an_unfit_candidate_is_refused_and_users_notice_nothing(
    stage: Stage, behaviour: str, test: str, words: str
) -> None:
    good, bad = stage.release("delay@1"), stage.release("delay@2", behaviour)
    before = stage.delivery.start(ENDPOINT, good).state
    with pytest.raises(CheckFailed) as failed:
        stage.delivery.start(ENDPOINT, bad)
    assert failed.value.reference == "rollout-refused"
    assert replace(stage.store.load(ENDPOINT), last=before.last) == before
    assert stage.served() == good
    assert [process.name for process in stage.processes.status()] == [
        "arm-flights-delay-blue",
        "envoy",
    ]
    (event,) = stage.events("rollout.refused")
    assert (event.subject, event.payload["test"]) == (bad, test)
    assert words in event.payload["words"]


def test_a_model_that_was_changed_after_its_release_never_sees_traffic(stage: Stage) -> None:
    release = stage.release("delay@1")
    (stage.models.folder / "delay@1" / "more").write_text("tampered")
    with pytest.raises(CheckFailed, match="has changed"):
        stage.delivery.start(ENDPOINT, release)
    assert stage.call().status == 404


def test_rollback_returns_to_the_previous_release_and_stops_the_other(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    stage.delivery.start(ENDPOINT, second)
    now = stage.delivery.rollback(ENDPOINT, "users complain", actor="user:test")
    assert (now.phase, stage.served()) == (Phase.SERVING, first)
    assert stage.processes.pid("arm-flights-delay-green") is None
    (event,) = stage.events("rollout.rolled-back")
    assert (event.subject, event.payload["to"]) == (second, first)
    assert (event.payload["reason"], event.actor) == ("users complain", "user:test")


def test_rollback_starts_a_previous_arm_that_has_died(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    stage.delivery.start(ENDPOINT, second)
    stage.processes.kill("arm-flights-delay-blue")
    stage.delivery.rollback(ENDPOINT, "users complain")
    assert stage.served() == first


def test_two_rollouts_of_one_endpoint_exclude_each_other(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    reached, go_on = threading.Event(), threading.Event()

    def hold(step: str, words: str) -> None:
        if step == "smoking":
            reached.set()
            assert go_on.wait(20)

    other = threading.Thread(
        target=stage.delivery.start, args=(ENDPOINT, first), kwargs={"observe": hold}
    )
    other.start()
    try:
        assert reached.wait(20)
        for attempt in (
            lambda: stage.delivery.start(ENDPOINT, second),
            lambda: stage.delivery.rollback(ENDPOINT, "no"),
        ):
            with pytest.raises(Conflict) as conflict:
                attempt()
            assert conflict.value.reference == "rollout-in-progress"
    finally:
        go_on.set()
        other.join()
    assert stage.served() == first


def test_endpoints_do_not_disturb_each_other(stage: Stage) -> None:
    """Even where one's name begins with the other's."""
    inner, outer = stage.release("delay@1"), stage.release("delay@2", endpoint="flights")
    stage.delivery.start(ENDPOINT, inner)
    stage.delivery.start("flights", outer)
    assert stage.served() == inner
    assert stage.call("/flights/v2/models/flights/infer").headers["x-triune-release"] == outer


def test_a_rollout_is_refused_for_what_it_cannot_serve(stage: Stage) -> None:
    first = stage.release("delay@1")
    with pytest.raises(Refused) as other:
        stage.delivery.start("flights", first)
    assert other.value.reference == "release-other-endpoint"
    with pytest.raises(NotFound):
        stage.delivery.start(ENDPOINT, "release:flights-delay@000000000000")
    stage.delivery.start(ENDPOINT, first)
    with pytest.raises(Conflict) as again:
        stage.delivery.start(ENDPOINT, first)
    assert again.value.reference == "release-already-live"


def test_starting_the_live_release_again_leaves_the_kept_one_alone(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    stage.delivery.start(ENDPOINT, first)
    before = stage.delivery.start(ENDPOINT, second).state
    with pytest.raises(Conflict):
        stage.delivery.start(ENDPOINT, second)
    assert replace(stage.store.load(ENDPOINT), last=before.last) == before
    assert before.previous is not None
    assert stage.is_ready(before.previous)


def test_a_command_waits_for_a_guard_that_looks_after_the_endpoint(stage: Stage) -> None:
    first = stage.release("delay@1")
    with stage.store.locked(ENDPOINT):
        command = threading.Thread(target=stage.delivery.start, args=(ENDPOINT, first))
        command.start()
        command.join(0.2)
        assert command.is_alive()
    command.join()
    assert stage.served() == first


def test_a_state_that_cannot_be_written_is_an_error_of_ours(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2")
    before = stage.delivery.start(ENDPOINT, first).state

    def full(path: object, data: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("triune.delivery.store.write_atomic", full)
    with pytest.raises(Unavailable) as error:
        stage.delivery.start(ENDPOINT, second)
    assert error.value.reference == "endpoint-state-unwritable"
    assert replace(stage.store.load(ENDPOINT), last=before.last) == before
    assert stage.served() == first


def test_a_plan_changes_nothing_and_names_the_differences(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@2", "wrong-rows")
    stage.delivery.start(ENDPOINT, first)
    plan = stage.delivery.plan(ENDPOINT, second)
    assert (plan.colour, plan.previous) == (Colour.GREEN, first)
    assert {change.key for change in plan.changes} == {"model.digest", "model.ref"}
    assert stage.served() == first
