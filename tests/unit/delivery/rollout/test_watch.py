"""The canary's watch: what it does when others act meanwhile, and when something is away."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from tests.support.evidence import tick
from tests.support.tabletop import CANARY, ENDPOINT, Tabletop
from triune.core.rollout_config import MetricName
from triune.delivery.gateway.model import Snapshot
from triune.delivery.rollout import analysis
from triune.delivery.rollout.model import Definition, Record, Ticket
from triune.delivery.rollout.verdict import Verdict
from triune.delivery.state import Outcome, Phase
from triune.stats.noharm import NoHarmState

HARM = (100, 15)
"""Too few errors for the hard stop; two ticks of them are proof."""
LOOK_SECONDS = 10.0
DAY = 86_400.0


@pytest.fixture
def table(tmp_path: Path) -> Tabletop:
    return Tabletop(tmp_path)


def harmed(table: Tabletop, ticket: Ticket) -> None:
    """Looks at a harmful candidate until something follows."""
    while table.now.phase is Phase.CANARY:
        table.look(ticket, candidate=HARM)


# A look that is late


@pytest.mark.parametrize("first_reading", [True, False])
def test_a_late_look_leaves_the_next_rollout_alone(table: Tabletop, first_reading: bool) -> None:
    ticket = table.canary() if first_reading else table.begun()

    def meanwhile() -> Snapshot:
        table.conductor.abort(ticket, table.wish())
        table.order()
        return table.gateway.snapshot()

    table.traffic()
    found = table.turn(ticket, meanwhile, seconds=LOOK_SECONDS)
    assert found.over
    assert table.record.rollout == table.now.pending.rollout != ticket.rollout  # type: ignore[union-attr]
    assert (table.record.progress.looks, table.record.seen, table.record.last) == (0, None, None)
    assert table.now.phase is Phase.STARTING


@pytest.mark.parametrize("first_reading", [True, False])
def test_a_late_look_leaves_an_outcome_alone(table: Tabletop, first_reading: bool) -> None:
    ticket = table.canary() if first_reading else table.begun()

    def meanwhile() -> Snapshot:
        table.conductor.abort(ticket, table.wish())
        assert table.conductor.conclude(ticket).over
        return table.gateway.snapshot()

    table.traffic(candidate=HARM)
    assert table.turn(ticket, meanwhile, seconds=LOOK_SECONDS).over
    assert table.record.outcome == Outcome.ROLLED_BACK
    assert (table.now.phase, table.now.pending) == (Phase.SERVING, None)
    (ended,) = table.log.kinds("rollout.finished")
    assert (ended.id, ended.payload["outcome"]) == (table.record.mark, "rolled-back")


# A record that is lost


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]"])
def test_a_watch_without_a_record_takes_users_off(table: Tabletop, content: bytes | None) -> None:
    ticket = table.begun()
    table.record_path.unlink()
    if content is not None:
        table.record_path.write_bytes(content)
    assert table.turn(ticket, seconds=LOOK_SECONDS).over
    assert (table.weight, table.now.phase) == (0, Phase.SERVING)
    (back,) = table.log.kinds("rollout.rolled-back")
    assert "lost or broken" in back.payload["reason"]


# A journal that takes nothing


@pytest.mark.parametrize("anew", [False, True])
def test_harm_is_left_while_nothing_can_be_told(table: Tabletop, anew: bool) -> None:
    ticket = table.begun()
    table.look(ticket)
    table.log.full = True
    if anew:
        table.take_up()
    harmed(table, ticket)
    assert (table.weight, table.now.phase) == (0, Phase.WITHDRAWING)
    assert table.record.last is not None
    assert table.record.last.verdict is Verdict.FAIL
    table.log.full = False
    assert table.conductor.settle(ticket).over
    assert len(table.log.kinds("rollout.rolled-back")) == 1


def test_a_look_is_told_later_once_under_its_own_id(table: Tabletop) -> None:
    ticket = table.begun()
    table.look(ticket)
    table.log.full = True
    table.look(ticket)
    untold = table.record.mark
    assert [e.payload["number"] for e in table.log.kinds("rollout.looked")] == [1]
    table.log.full = False
    table.turn(ticket)
    table.turn(ticket)
    table.look(ticket)
    told = table.log.kinds("rollout.looked")
    assert [event.payload["number"] for event in told] == [1, 2, 3]
    assert told[1].id == untold


def test_steps_go_on_while_nothing_can_be_told_and_are_told_later(table: Tabletop) -> None:
    ticket = table.begun()
    table.log.full = True
    while table.record.progress.step == 0:
        table.look(ticket)
    assert table.weight == 5000
    table.look(ticket)
    table.log.full = False
    table.look(ticket)
    assert [e.payload["weight"] for e in table.log.kinds("rollout.stepped")] == [1000, 5000]


# What was not measured does not pass


def test_without_outcomes_wrong_never_passes(tmp_path: Path) -> None:
    rows = CANARY.replace('"errors"', '"wrong"')
    table = Tabletop(tmp_path, rows)
    ticket = table.begun()
    while table.now.phase is Phase.CANARY and table.record.progress.looks < 62:
        table.look(ticket)
        assert table.record.last is not None
        assert table.record.last.verdict is not Verdict.PASS
    assert table.weight == 1000
    assert "wrong cannot be judged" in str(table.conductor.records.gates(ENDPOINT, ticket.rollout))


@pytest.mark.parametrize("without", [0, 1])
def test_without_histograms_a_latency_does_not_pass(tmp_path: Path, without: int) -> None:
    both = '[{ name = "errors" }, { name = "latency-p90" }]'
    table = Tabletop(tmp_path, CANARY.replace('[{ name = "errors" }]', both))
    ticket = table.begun()
    for _ in range(40):
        step = table.record.progress.step
        table.look(ticket, latency=step != without)
    assert (table.now.phase, table.record.progress.step) == (Phase.CANARY, without)
    assert table.record.last is not None
    assert table.record.last.reason.startswith("latency-p90 cannot be judged yet")
    while table.now.phase is Phase.CANARY:
        table.look(ticket)
    assert table.now.phase is Phase.WATCHING


# A wish that comes between decision and act


def saved(table: Tabletop, ticket: Ticket, step: str) -> list[str]:
    """At this step somebody's abort becomes durable, and its command dies."""
    seen: list[str] = []

    def told(name: str) -> None:
        if name == step and step not in seen:
            seen.append(name)
            table.conductor.gate(ticket, "abort", table.wish())

    table.told = told
    return seen


@pytest.mark.parametrize("action", ["advance", "promote"])
@pytest.mark.parametrize("moment", ["kept", "told"])
def test_an_abort_between_decision_and_move_wins(table: Tabletop, action: str, moment: str) -> None:
    ticket = table.begun()
    seen = saved(table, ticket, f"{moment}-{action}")
    most = 0
    while table.now.phase is Phase.CANARY:
        table.look(ticket)
        most = max(most, table.weight)
    assert seen
    assert most == (1000 if action == "advance" else 5000)
    assert (table.weight, table.now.phase) == (0, Phase.SERVING)
    assert table.now.last is not None
    assert table.now.last.outcome is Outcome.ROLLED_BACK
    assert not table.log.kinds("rollout.switched")


def test_an_abort_in_the_moment_of_the_switch_goes_back(table: Tabletop) -> None:
    ticket = table.begun()
    stable = table.served()
    seen = saved(table, ticket, "saving-switching")
    while table.now.phase is Phase.CANARY:
        table.look(ticket)
    assert seen
    assert (table.now.phase, table.served()) == (Phase.WATCHING, table.record.release)
    table.conductor.keep(ticket)
    assert (table.now.phase, table.served()) == (Phase.SERVING, stable)
    assert table.now.last is not None
    assert table.now.last.outcome is Outcome.ROLLED_BACK


# Evidence and steps


def test_harm_is_carried_over_a_step_and_no_harm_is_not(table: Tabletop) -> None:
    ticket = table.begun()
    for _ in range(2):
        table.look(ticket, candidate=(100, 3))
    before = table.record.progress
    table.look(ticket)
    after = table.record.progress
    assert (before.step, after.step) == (0, 1)
    state = after.metrics[MetricName.ERRORS]
    assert state.no_harm == NoHarmState()
    assert before.metrics[MetricName.ERRORS].no_harm != NoHarmState()
    assert (state.harm.ticks, state.n_b, state.step_n) == (3, 300, 300)
    assert state.harm != type(state.harm)()


def test_proof_of_no_harm_in_one_step_does_not_shorten_the_next(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, CANARY.replace("step_s = 30", "step_s = 10_000"))
    ticket = table.begun()
    while table.record.progress.step == 0:
        table.look(ticket, (90_000, 900), (10_000, 100))
    for _ in range(5):
        table.look(ticket)
    assert table.record.progress.step_requests >= table.record.definition.min_requests
    assert (table.now.phase, table.weight) == (Phase.CANARY, 5000)


# The horizon


def questions(table: Tabletop) -> int:
    told = table.log.kinds("rollout.gated")
    return sum(event.actor == "service:controller" for event in told)


@pytest.mark.parametrize("away", [False, True])
def test_the_horizon_asks_once_and_again_after_a_whole_one(tmp_path: Path, away: bool) -> None:
    table = Tabletop(tmp_path, CANARY.replace("horizon_s = 600", "horizon_s = 200"))
    ticket = table.begun()
    table.gateway.reachable = not away
    for number in (1, 2):
        looks = 0
        while questions(table) < number:
            table.turn(ticket, seconds=LOOK_SECONDS)
            looks += 1
        assert looks == table.record.definition.horizon_s / LOOK_SECONDS
        pause = table.records.gates(ENDPOINT, ticket.rollout).paused
        assert pause is not None
        assert pause.mark == table.log.kinds("rollout.gated")[-1].id
        for _ in range(25):
            table.turn(ticket, seconds=LOOK_SECONDS)
        assert (questions(table), table.weight) == (number, 1000)
        table.conductor.gate(ticket, "resume", table.wish("wait on"))
        table.turn(ticket, seconds=0.0)


def test_the_end_of_a_long_pause_is_no_question(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, CANARY.replace("horizon_s = 600", "horizon_s = 200"))
    ticket = table.begun()
    table.conductor.gate(ticket, "pause", table.wish("over night"))
    for _ in range(25):
        table.turn(ticket, seconds=LOOK_SECONDS)
    table.conductor.gate(ticket, "resume", table.wish("good morning"))
    for _ in range(15):
        table.turn(ticket, seconds=LOOK_SECONDS)
    assert questions(table) == 0


# The clock


def test_a_date_that_jumps_neither_hurries_nor_stalls_a_step(table: Tabletop) -> None:
    ticket = table.begun()
    for jump in (DAY, 0.0):
        table.clock.jumped = jump
        table.look(ticket)
    assert (table.record.progress.step, table.record.progress.step_s) == (0, 20.0)
    table.clock.jumped = -DAY
    table.look(ticket)
    assert (table.record.progress.step, table.weight) == (1, 5000)
    assert table.record.progress.judged_s == 30.0


@pytest.mark.parametrize(("jump", "counted"), [(DAY, 20.0), (0.0, 10.0), (15.0, 20.0), (-DAY, 0.0)])
def test_after_a_restart_at_most_two_ticks_count(
    table: Tabletop, jump: float, counted: float
) -> None:
    ticket = table.begun()
    table.take_up()
    table.clock.jumped = jump
    table.look(ticket)
    assert table.record.progress.judged_s == counted
    table.look(ticket)
    assert table.record.progress.judged_s == counted + LOOK_SECONDS


# An endpoint that is no longer declared


def test_a_canary_goes_on_and_is_promoted_without_its_table(table: Tabletop) -> None:
    ticket = table.begun()
    table.look(ticket)
    table.undeclare()
    while table.now.phase is Phase.CANARY:
        table.look(ticket)
    assert (table.now.phase, table.served()) == (Phase.WATCHING, table.record.release)
    assert table.conductor.keep(ticket).phase is Phase.WATCHING
    assert table.rollouts.view(ENDPOINT).outcome == Outcome.PROMOTED


def test_a_harmful_canary_ends_without_its_table(table: Tabletop) -> None:
    ticket = table.begun()
    table.undeclare()
    harmed(table, ticket)
    assert (table.weight, table.now.phase) == (0, Phase.SERVING)
    assert table.conductor.conclude(ticket).over
    assert table.record.outcome == Outcome.ROLLED_BACK


# What a record holds


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_definition_is_the_one_the_canary_began_with(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    table = Tabletop(tmp_path, CANARY.replace('{ name = "errors" }', _MANY))

    def prior(record: Record) -> Definition:
        metrics = tuple(
            msgspec.structs.replace(metric, phi=round(draw.uniform(1, 3), 4))
            for metric in record.definition.metrics
        )
        return msgspec.structs.replace(record.definition, metrics=metrics)

    table.prior = prior
    ticket = table.canary()
    began = table.record.definition
    assert any(metric.phi > 1 for metric in began.metrics)
    while table.now.phase is Phase.CANARY and table.record.progress.looks < 60:
        if draw.random() < 0.1:
            table.take_up()
        table.gateway.reachable = draw.random() < 0.9
        table.look(ticket, (draw.randrange(500), 0), (draw.randrange(100), 0))
        assert table.record.definition == began
    assert table.record.progress.looks > 3


def test_a_thousand_looks_keep_the_record_small(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, CANARY.replace("horizon_s = 600", "horizon_s = 20_000"))
    ticket = table.begun()
    for number in range(2):
        table.look(ticket, (900, 4), (100, number))
    small, record = table.record_path.stat().st_size, table.record
    progress = record.progress
    for number in range(997):
        one = tick((900, 4), (100, number % 2))
        progress = analysis.judged(record.definition, progress, one, ())
        progress = msgspec.structs.replace(progress, looks=progress.looks + 1)
    unready = msgspec.structs.replace(progress, step_s=0.0)
    table.records.save(msgspec.structs.replace(record, progress=unready))
    table.look(ticket)
    assert table.record.progress.looks == 1000
    assert table.record_path.stat().st_size < small + 500 < 10_000


_MANY = ", ".join(
    f'{{ name = "{name}" }}' for name in ("errors", "timeouts", "latency-p50", "latency-p99")
)
