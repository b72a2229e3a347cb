"""Rollouts that must not begin, that nobody uses, that lose their candidate, readings or disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support.rollout_lab import QUICK, Lab, Weights, laboratory
from tests.support.rollouts import Traffic
from triune.core.errors import Conflict, TriuneError
from triune.core.waiting import wait_until
from triune.delivery.keeper import Guard
from triune.delivery.rollout.model import Ticket
from triune.delivery.state import Outcome, Phase

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("rollout-faults")]

STAYS = QUICK.replace("min_requests = 3", "min_requests = 1_000_000")
TABLES = {
    "twice": STAYS,
    "at-once": QUICK,
    "same": QUICK,
    "first": QUICK,
    "quiet": QUICK.replace("horizon_s = 600", "horizon_s = 1"),
    "dies": STAYS.replace("tick_s = 0.1", "tick_s = 60").replace("step_s = 0.2", "step_s = 60"),
    "blind": QUICK.replace("step_s = 0.2", "step_s = 1.0"),
    "full": QUICK.replace("step_s = 0.2", "step_s = 1.0"),
    "garbage": QUICK,
    "again": QUICK,
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("faults"), TABLES, failures=2) as made:
        yield made


@contextmanager
def canary(lab: Lab, endpoint: str, rate: float = 60.0) -> Iterator[tuple[Ticket, Traffic]]:
    """A canary at its first weight, with its controller and users."""
    lab.serve(endpoint)
    with Traffic(lab, rate, endpoint=endpoint) as traffic, lab.driven(endpoint):
        ticket = lab.start(endpoint, lab.candidate(endpoint))
        wait_until(
            lambda: lab.decided(endpoint).get(_candidate(lab, endpoint)) == 2000,
            timeout=60,
            what="it is a canary",
            longest_pause=0.02,
        )
        yield ticket, traffic


def _candidate(lab: Lab, endpoint: str) -> str:
    pending = lab.store.load(endpoint).pending
    return pending.arm.upstream if pending else ""


@contextmanager
def guarded(lab: Lab) -> Iterator[None]:
    stop = threading.Event()
    guard = threading.Thread(target=Guard(lab.delivery, print).run, args=(stop,))
    guard.start()
    try:
        yield
    finally:
        stop.set()
        guard.join()


def test_a_second_rollout_of_an_endpoint_is_refused_in_any_phase(lab: Lab) -> None:
    lab.serve("twice")
    other = lab.candidate("twice")
    steps = ("starting:1", "warming:1", "smoking:1", "stepped:2")
    with lab.driven("twice", hold=steps):
        ticket = lab.start("twice", lab.candidate("twice"))
        for step in steps:
            lab.await_held("twice", step)
            with pytest.raises(Conflict) as conflict:
                lab.start("twice", other)
            assert conflict.value.reference == "rollout-in-progress"
            lab.let_go("twice")
        assert lab.record("twice").rollout == ticket.rollout
        lab.rollouts.abort("twice", "enough")
        assert lab.settle(ticket) == Outcome.ROLLED_BACK.value
    assert [e.kind for e in lab.happened(ticket)].count("rollout.started") == 1


def test_of_two_rollouts_that_begin_at_once_one_does(lab: Lab) -> None:
    lab.serve("at-once")
    releases = [lab.candidate("at-once") for _ in range(2)]
    together = threading.Barrier(2)

    def start(release: str) -> Ticket | None:
        together.wait()
        try:
            return lab.start("at-once", release)
        except Conflict as conflict:
            assert conflict.reference == "rollout-in-progress"
            return None

    with ThreadPoolExecutor(2) as pool:
        begun = [ticket for ticket in pool.map(start, releases) if ticket is not None]
    assert len(begun) == 1
    assert lab.record("at-once").rollout == begun[0].rollout
    with lab.driven("at-once"):
        lab.rollouts.abort("at-once", "enough")
        assert lab.settle(begun[0]) == Outcome.REFUSED.value


def test_a_candidate_that_serves_already_needs_no_rollout(lab: Lab) -> None:
    live = lab.serve("same")
    before = lab.store.load("same")
    with pytest.raises(Conflict) as conflict:
        lab.start("same", live)
    assert conflict.value.reference == "release-already-live"
    assert lab.store.load("same") == before
    assert lab.conductor.records.load("same") is None


def test_the_first_release_of_an_endpoint_gets_all_traffic_at_once(lab: Lab) -> None:
    with lab.driven("first"):
        ticket = lab.start("first", lab.candidate("first"))
        assert lab.settle(ticket) == Outcome.PROMOTED.value
    kinds = [event.kind for event in lab.happened(ticket)]
    assert kinds == ["rollout.started", "rollout.smoked", "rollout.switched", "rollout.finished"]
    assert lab.agrees("first")


def test_without_traffic_a_person_is_asked_at_the_horizon(lab: Lab) -> None:
    lab.serve("quiet")
    with lab.driven("quiet"):
        ticket = lab.start("quiet", lab.candidate("quiet"))
        asked = lab.await_told(ticket, "rollout.gated")
        assert asked.payload["gate"] == "pause"
        assert "a person decides" in asked.payload["reason"]
        lab.looked(ticket)
        view = lab.rollouts.view("quiet")
        assert (view.phase, view.weight, view.verdict) == (Phase.CANARY.value, 20.0, "not yet")
        assert view.paused is not None
        lab.rollouts.promote("quiet", "nobody is there to be harmed", actor="user:ada")
        assert lab.settle(ticket) == Outcome.PROMOTED.value


def test_a_candidate_that_dies_is_withdrawn_by_the_guard_and_the_workflow_ends(lab: Lab) -> None:
    with guarded(lab), canary(lab, "dies") as (ticket, traffic):
        pending = lab.store.load("dies").pending
        assert pending is not None
        lab.processes.kill(pending.arm.process)
        died = time.monotonic()
        outcome = lab.settle(ticket)
        asked = len(traffic.answers)
        wait_until(lambda: len(traffic.answers) > asked + 20, timeout=30, what="more is asked")
    assert outcome == Outcome.ROLLED_BACK.value
    back = lab.await_told(ticket, "rollout.rolled-back")
    assert back.actor == "service:guard"
    assert "no answer" in back.payload["last_error"]
    assert lab.record("dies").progress.looks == 0
    failed = traffic.failed()
    assert {answer.arm for answer in failed} <= {"candidate"}
    assert all(answer.at >= died - 0.1 for answer in failed)
    assert [a for a in traffic.answers[asked + 1 :] if a.status != 200] == []


def test_a_gap_in_the_readings_never_moves_users(lab: Lab) -> None:
    with canary(lab, "blind") as (ticket, _), Weights(lab, "blind") as weights:
        lab.processes.kill("envoy")
        wait_until(
            lambda: lab.record("blind").progress.gaps > 20, timeout=60, what="it has seen nothing"
        )
        assert {weight for _, weight in weights.seen} == {2000}
        looks = [e for e in lab.happened(ticket) if e.kind == "rollout.looked"]
        blind = [e for e in looks if "gap" in e.payload["reading"]]
        assert {e.payload["verdict"] for e in blind} == {"not yet"}
        assert {e.payload["action"] for e in blind} == {"hold"}
        lab.start_envoy()
        assert lab.settle(ticket) == Outcome.PROMOTED.value


def test_a_full_disk_holds_a_canary_until_there_is_room(lab: Lab) -> None:
    full = lab.workspace.state / "rollouts" / "full"
    with canary(lab, "full") as (ticket, traffic), Weights(lab, "full") as weights:
        full.touch()
        told = len(lab.log_of("full"))
        wait_until(
            lambda: lab.log_of("full").count("rollout-record-unwritable") > 2,
            timeout=60,
            what=f"it fails more than once: {told}",
        )
        assert {weight for _, weight in weights.seen} == {2000}
        full.unlink()
        assert lab.settle(ticket) == Outcome.PROMOTED.value
    assert traffic.failed() == []
    numbers = [
        event.payload["number"] for event in lab.happened(ticket) if event.kind == "rollout.looked"
    ]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_candidate_that_answers_garbage_is_refused(lab: Lab) -> None:
    live = lab.serve("garbage")
    with lab.driven("garbage"):
        ticket = lab.start("garbage", lab.candidate("garbage", "garbage"))
        assert lab.settle(ticket) == Outcome.REFUSED.value
    refused = lab.await_told(ticket, "rollout.refused")
    assert "no outputs" in refused.payload["words"]
    now = lab.store.load("garbage").live
    assert now is not None
    assert now.release == live


def test_each_of_two_rollouts_in_a_row_is_finished_in_the_ledger(lab: Lab) -> None:
    """The second begins within the rollback window of the first, whose end it thereby is."""
    lab.serve("again")
    with Traffic(lab, 60, endpoint="again"), lab.driven("again"):
        tickets = []
        for _ in range(2):
            tickets.append(lab.start("again", lab.candidate("again")))
            lab.await_phase(tickets[-1], Phase.WATCHING)
        lab.settle(tickets[-1])
    for ticket in tickets:
        finished = lab.await_told(ticket)
        assert finished.payload["outcome"] == Outcome.PROMOTED.value


def test_nothing_is_left_to_abort_when_it_is_over(lab: Lab) -> None:
    live = lab.store.load("again").live
    with pytest.raises(TriuneError) as over:
        lab.rollouts.abort("again", "too late")
    assert over.value.reference == "rollout-over"
    assert lab.store.load("again").live == live
