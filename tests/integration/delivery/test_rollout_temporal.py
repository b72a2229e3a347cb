"""Rollouts and their Temporal server: signals, short histories, and what happens without it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from temporalio.client import Client

from tests.support.rollout_lab import QUICK, Errand, Lab, laboratory, signalled, workflow_of
from tests.support.rollouts import Traffic
from triune.core.waiting import wait_until
from triune.delivery.rollout.backends.temporal_workflow import ROUNDS
from triune.delivery.rollout.model import Gates, Ticket
from triune.delivery.state import Outcome

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("rollout-temporal")]

STAYS = QUICK.replace("min_requests = 3", "min_requests = 1_000_000")
"""A canary that stays at its first weight until somebody says more."""
TABLES = {
    "signals/steered": STAYS,
    "signals/aborted": STAYS,
    "rounds": STAYS,
    "forgotten": QUICK.replace("step_s = 0.2", "step_s = 1.5"),
    "alone": STAYS,
    "stalled": QUICK.replace("step_s = 0.2", "step_s = 1.5"),
}
EVENTS_A_ROUND = 6
"""Of a stage: scheduled, started, completed, and the same of the workflow's own task."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("temporal"), TABLES) as made:
        yield made


@contextmanager
def canary(lab: Lab, endpoint: str, round_s: float = 3600.0) -> Iterator[Ticket]:
    """A canary at its first weight, with its controller and users."""
    lab.serve(endpoint)
    with Traffic(lab, 60, endpoint=endpoint) as traffic, lab.driven(endpoint, round_s=round_s):
        ticket = lab.start(endpoint, lab.candidate(endpoint))
        wait_until(
            lambda: lab.record(endpoint).progress.looks > 0, timeout=60, what="it is looked at"
        )
        yield ticket
    candidate = lab.record(endpoint).release
    assert [a for a in traffic.failed() if a.release != candidate] == []


def await_gates(lab: Lab, ticket: Ticket, so: Callable[[Gates], bool]) -> None:
    wait_until(
        lambda: so(lab.conductor.records.gates(ticket.endpoint, ticket.rollout)),
        timeout=30,
        what="the gates are so",
    )


def send(lab: Lab, ticket: Ticket, gate: str) -> None:
    asyncio.run(signalled(lab, ticket, gate, "user:ada", f"to {gate}"))


def check_told_once(lab: Lab, ticket: Ticket) -> None:
    """All events once, all looks numbered."""
    events = lab.happened(ticket)
    numbers = [e.payload["number"] for e in events if e.kind == "rollout.looked"]
    assert numbers == list(range(1, len(numbers) + 1))
    for kind in ("started", "smoked", "switched", "rolled-back", "finished"):
        assert sum(e.kind == f"rollout.{kind}" for e in events) <= 1


def test_signals_are_the_gates(lab: Lab) -> None:
    with canary(lab, "signals/steered") as ticket:
        send(lab, ticket, "pause")
        await_gates(lab, ticket, lambda gates: gates.paused is not None)
        send(lab, ticket, "resume")
        await_gates(lab, ticket, lambda gates: gates.paused is None)
        send(lab, ticket, "promote")
        assert lab.settle(ticket) == Outcome.PROMOTED.value
    gated = [e for e in lab.happened(ticket) if e.kind == "rollout.gated"]
    assert [(e.payload["gate"], e.payload["reason"]) for e in gated] == [
        ("pause", "to pause"),
        ("resume", "to resume"),
        ("promote", "to promote"),
    ]
    assert {event.actor for event in gated} == {"user:ada"}
    check_told_once(lab, ticket)


def test_a_signal_aborts_from_afar(lab: Lab) -> None:
    with canary(lab, "signals/aborted") as ticket:
        send(lab, ticket, "abort")
        assert lab.settle(ticket) == Outcome.ROLLED_BACK.value
        assert lab.agrees(ticket.endpoint)
    back = lab.await_told(ticket, "rollout.rolled-back")
    assert (back.actor, back.payload["reason"]) == ("user:ada", "to abort")
    check_told_once(lab, ticket)


def test_a_long_canary_keeps_a_short_history(lab: Lab) -> None:
    """Rounds of a twentieth of a second instead of days."""
    longest, runs = 0, set()

    async def look(ticket: Ticket) -> None:
        nonlocal longest
        client = await Client.connect(lab.temporal)
        found = await client.get_workflow_handle(workflow_of(ticket)).describe()
        longest = max(longest, found.history_length)
        runs.add(found.run_id)

    with canary(lab, "rounds", round_s=0.05) as ticket:

        def renewed() -> bool:
            asyncio.run(look(ticket))
            return len(runs) > 1

        wait_until(renewed, timeout=120, what="the history began anew")
        lab.rollouts.promote("rounds", "long enough")
        assert lab.settle(ticket) == Outcome.PROMOTED.value
    assert longest <= EVENTS_A_ROUND * (ROUNDS + 10)
    check_told_once(lab, ticket)


def test_a_rollout_ends_though_temporal_has_forgotten_everything(lab: Lab) -> None:
    with canary(lab, "forgotten") as ticket:
        lab.processes.kill("temporal")
        for path in (lab.root / "temporal").glob("temporal.db*"):
            path.unlink()
        lab.start_temporal()
        assert lab.settle(ticket) == Outcome.PROMOTED.value
    check_told_once(lab, ticket)


def test_without_temporal_a_canary_is_watched_and_rolls_back(lab: Lab) -> None:
    with canary(lab, "alone") as ticket:
        lab.processes.kill("temporal")
        lab.looked(ticket, 20)
        pending = lab.store.load("alone").pending
        assert pending is not None
        lab.behave(pending.arm, "fails-40")
        wait_until(
            lambda: lab.store.load("alone").pending is None, timeout=60, what="it is rolled back"
        )
        assert lab.agrees("alone")
        assert lab.others("alone") == []
        lab.start_temporal()
        assert lab.settle(ticket) == Outcome.ROLLED_BACK.value
    check_told_once(lab, ticket)


def test_a_controller_that_was_taken_for_dead_looks_no_second_time(lab: Lab) -> None:
    with canary(lab, "stalled") as ticket:
        stalled = lab.children[-1]
        os.kill(stalled, signal.SIGSTOP)
        lab.send(Errand("stalled"))
        wait_until(lambda: taken_over(lab, ticket), timeout=60, what="the other one takes over")
        os.kill(stalled, signal.SIGCONT)
        assert lab.settle(ticket) == Outcome.PROMOTED.value
    check_told_once(lab, ticket)


def taken_over(lab: Lab, ticket: Ticket) -> bool:
    """Whether Temporal has given the stage to another worker."""

    async def attempts() -> int:
        client = await Client.connect(lab.temporal)
        found = await client.get_workflow_handle(workflow_of(ticket)).describe()
        return max((a.attempt for a in found.raw_description.pending_activities), default=0)

    return asyncio.run(attempts()) > 1
