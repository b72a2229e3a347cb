"""The stages and gates of rollouts, with files that are lost and wishes that come in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.support.ports import free_port
from tests.support.tabletop import BLUE_GREEN, CANARY, ENDPOINT, Tabletop
from triune.core import files
from triune.core.errors import Conflict, NotFound, Unavailable
from triune.delivery import state
from triune.delivery.rollout import conductor
from triune.delivery.rollout import store as records
from triune.delivery.rollout.model import Gates, Ticket
from triune.delivery.rollout.view import OVER
from triune.delivery.smoke import SmokeClient, SmokeTest
from triune.delivery.state import Outcome, Phase

CONTENTS = [None, b"", b"{", b"[]"]


def put(path: Path, content: bytes | None) -> None:
    """The file is gone, or holds this."""
    path.unlink(missing_ok=True)
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def table(tmp_path: Path) -> Tabletop:
    return Tabletop(tmp_path)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a rollout's own files can be written."""

    def refuse(path: Path, data: bytes, *, synced: bool = True) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(records, "write_atomic", refuse)


def promoted(table: Tabletop) -> Ticket:
    """A canary that has passed all its steps."""
    ticket = table.begun()
    while table.now.phase is Phase.CANARY:
        table.look(ticket)
    assert table.now.phase is Phase.WATCHING
    return ticket


def brought(table: Tabletop, phase: str) -> Ticket:
    """A rollout in this phase."""
    begin: dict[str, Callable[[], Ticket]] = {
        "starting": table.order,
        "shadowing": table.shadowing,
        "canary": table.begun,
        "watching": lambda: promoted(table),
    }
    return begin[phase]()


# Abort, whatever is broken


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("phase", ["starting", "shadowing", "canary", "watching"])
def test_abort_without_a_record(table: Tabletop, phase: str, content: bytes | None) -> None:
    stable = table.served()
    ticket = brought(table, phase)
    put(table.record_path, content)
    seen = table.rollouts.view(ENDPOINT)
    assert (seen.rollout, seen.phase) == (
        ticket.rollout,
        OVER if phase == "watching" else phase,
    )
    after = table.rollouts.abort(ENDPOINT, "customers call", actor="user:ada")
    assert (after.rollout, after.phase) == (ticket.rollout, OVER)
    assert after.outcome == ("refused" if phase == "starting" else "rolled-back")
    assert (table.served(), table.now.phase) == (stable, Phase.SERVING)
    assert table.processes.running <= {"arm-flights-delay-green"}


def test_without_a_record_and_without_an_ending_there_is_no_rollout(table: Tabletop) -> None:
    with pytest.raises(NotFound, match="no such rollout"):
        table.rollouts.view(ENDPOINT)


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_abort_with_broken_gates(table: Tabletop, content: bytes) -> None:
    ticket = table.begun()
    put(table.records.gates_path(ENDPOINT), content)
    assert table.rollouts.view(ENDPOINT).paused is not None  # it may have been a pause
    assert table.rollouts.abort(ENDPOINT, "customers call", actor="user:ada").over
    assert (table.weight, table.now.phase) == (0, Phase.SERVING)
    assert table.conductor.conclude(ticket).over
    assert table.record.outcome == Outcome.ROLLED_BACK


@pytest.mark.usefixtures("full_disk")
def test_abort_with_gates_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "write_atomic", files.write_atomic)
        table = Tabletop(tmp_path)
        ticket = table.begun()
    assert table.conductor.abort(ticket, table.wish()).over
    assert (table.weight, table.now.phase) == (0, Phase.SERVING)


def test_abort_with_gates_that_cannot_be_locked(table: Tabletop) -> None:
    ticket = table.begun()
    table.records.gates_path(ENDPOINT).with_suffix(".lock").mkdir()
    assert table.conductor.abort(ticket, table.wish()).over
    assert (table.weight, table.now.phase) == (0, Phase.SERVING)


def test_an_abort_that_nobody_can_learn_of_says_so(
    table: Tabletop, request: pytest.FixtureRequest
) -> None:
    """A stage is at work and the gate cannot be written: then it is not stopped."""
    ticket = table.order()
    request.getfixturevalue("full_disk")
    request.getfixturevalue("monkeypatch").setattr(conductor, "PATIENCE_SECONDS", 0.0)
    busy = table.store.locked(ENDPOINT)
    with busy, pytest.raises(Unavailable, match="cannot be written"):
        table.conductor.abort(ticket, table.wish())


@pytest.mark.parametrize("phase", ["starting", "shadowing", "canary", "watching"])
def test_abort_while_nothing_can_be_told(table: Tabletop, phase: str) -> None:
    stable = table.served()
    ticket = brought(table, phase)
    table.log.full = True
    table.conductor.abort(ticket, table.wish())
    assert table.served() == stable
    if phase == "canary":
        assert table.weight == 0
    table.log.full = False
    assert table.conductor.settle(ticket).over
    assert table.now.phase is Phase.SERVING
    told = "rollout.refused" if phase == "starting" else "rollout.rolled-back"
    assert len(table.log.kinds(told)) == 1


def test_abort_in_the_switch_while_nothing_can_be_told(table: Tabletop) -> None:
    ticket, stable = table.begun(), table.served()
    table.store.save(state.advance(table.now, Phase.SWITCHING, mark="switch"))
    table.log.full = True
    with pytest.raises(Unavailable, match="no room"):
        table.conductor.settle(ticket)
    assert (table.now.phase, table.served()) == (Phase.SWITCHING, table.record.release)
    table.conductor.abort(ticket, table.wish())
    assert table.served() == stable
    table.log.full = False
    assert table.conductor.settle(ticket).over
    assert table.now.last is not None
    assert table.now.last.outcome is Outcome.ROLLED_BACK


def test_an_endpoint_that_is_undeclared_before_traffic_refuses(table: Tabletop) -> None:
    stable, ticket = table.served(), table.smoking()
    table.undeclare()
    assert table.conductor.smoke(ticket).over
    assert table.conductor.conclude(ticket).over
    assert (table.served(), table.record.outcome) == (stable, "refused")
    assert table.rollouts.view(ENDPOINT).over


def test_an_order_while_nothing_can_be_told_concludes_the_one_before(table: Tabletop) -> None:
    ticket = table.begun()
    table.conductor.abort(ticket, table.wish())
    table.log.full = True
    assert table.conductor.conclude(ticket).over
    assert table.record.outcome == Outcome.ROLLED_BACK
    assert not table.log.kinds("rollout.finished")
    table.log.full = False
    table.order()
    (ended,) = table.log.kinds("rollout.finished")
    assert ended.payload["rollout"] == ticket.rollout


# A pause before all traffic


@pytest.mark.parametrize("live", [True, False])
def test_a_pause_before_the_switch_holds_until_it_is_resumed(tmp_path: Path, live: bool) -> None:
    table = Tabletop(tmp_path, BLUE_GREEN if live else CANARY, live=live)
    with table.answering(free_port()):
        ticket = table.smoking()
        table.named(ticket)
        table.conductor.gate(ticket, "pause", table.wish("not before lunch"))
        for _ in range(3):
            found = table.conductor.smoke(ticket)
            assert (found.phase, found.wait_s > 0) == (Phase.SMOKING, True)
        assert not table.log.kinds("rollout.smoked")
        table.conductor.gate(ticket, "resume", table.wish("lunch is over"))
        table.conductor.smoke(ticket)
    candidate = table.record.release
    assert (table.served(), table.now.live.release) == (candidate, candidate)  # type: ignore[union-attr]
    assert table.now.phase is (Phase.WATCHING if live else Phase.SERVING)


def test_a_pause_that_comes_during_the_tests_holds(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, BLUE_GREEN)
    stable = table.served()
    with table.answering(free_port()):
        ticket = table.smoking()
        table.named(ticket)

        def pauses(_: SmokeClient) -> None:
            table.conductor.gate(ticket, "pause", table.wish("wait"))

        table.own_tests = [SmokeTest("pauses", pauses)]
        found = table.conductor.smoke(ticket)
        assert (found.phase, found.wait_s > 0) == (Phase.SMOKING, True)
        assert table.served() == stable
        table.own_tests = []
        table.conductor.gate(ticket, "resume", table.wish("go"))
        assert table.conductor.smoke(ticket).phase is Phase.WATCHING
    assert table.served() == table.record.release


def test_a_paused_rollout_can_be_aborted_before_the_switch(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, BLUE_GREEN)
    ticket = table.smoking()
    table.conductor.gate(ticket, "pause", table.wish("wait"))
    assert table.conductor.abort(ticket, table.wish()).over
    assert table.now.last is not None
    assert table.now.last.outcome is Outcome.REFUSED


def test_a_canary_waits_for_its_resume_with_nobody_moved(table: Tabletop) -> None:
    with table.answering(free_port()):
        ticket = table.smoking()
        table.named(ticket)
        table.conductor.gate(ticket, "pause", table.wish("wait"))
        assert table.conductor.smoke(ticket).phase is Phase.CANARY
    table.turn(ticket)
    table.turn(ticket, seconds=10.0)
    assert table.weight == 0
    table.conductor.gate(ticket, "resume", table.wish("go"))
    table.turn(ticket)
    assert table.weight == 1000


# A record that is lost before traffic


@pytest.mark.parametrize("content", CONTENTS)
def test_a_candidate_whose_record_is_lost_does_not_get_all_traffic(
    table: Tabletop, content: bytes | None
) -> None:
    stable = table.served()
    with table.answering(free_port()):
        ticket = table.smoking()
        table.named(ticket)
        put(table.record_path, content)
        assert table.conductor.smoke(ticket).over
    assert (table.served(), table.now.phase) == (stable, Phase.SERVING)
    assert table.now.last is not None
    assert table.now.last.outcome is Outcome.REFUSED
    assert "record" in table.now.last.why["words"]


# Moves that are late


def test_a_step_and_a_promotion_are_not_made_after_an_abort(table: Tabletop) -> None:
    ticket = table.begun()
    table.conductor.gate(ticket, "abort", table.wish())
    table.conductor.step(ticket, 5000)
    table.conductor.promote(ticket)
    assert (table.weight, table.now.phase) == (1000, Phase.CANARY)
    table.turn(ticket)
    assert (table.weight, table.now.phase) == (0, Phase.SERVING)


def test_moves_of_an_earlier_rollout_touch_no_later_one(table: Tabletop) -> None:
    first = table.begun()
    table.conductor.abort(first, table.wish())
    second = table.begun()
    late = table.conductor
    assert late.step(first, 5000).over
    assert late.promote(first).over
    assert late.leave(first, table.wish()).over
    assert late.lost(first).over
    assert late.enter_canary(first).over
    assert late.conclude(first).over
    with pytest.raises(Conflict, match="nothing to go back from"):
        table.conductor.abort(first, table.wish())
    assert (table.weight, table.now.phase) == (1000, Phase.CANARY)
    assert table.record.rollout == second.rollout


def test_an_abort_that_meets_the_switch_goes_back(table: Tabletop) -> None:
    """The switch was decided and its process died; an abort undoes it."""
    ticket, stable = table.begun(), table.served()
    table.store.save(state.advance(table.now, Phase.SWITCHING, mark="switch"))
    table.tools.routing.publish()
    assert table.served() != stable
    assert table.conductor.abort(ticket, table.wish()).over
    assert (table.served(), table.now.phase) == (stable, Phase.SERVING)


# Shadow and canary


def test_a_canary_after_a_shadow_has_its_whole_horizon(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, CANARY + "shadow_pairs = 10\n")
    ticket = table.shadowing()
    progress = msgspec.structs.replace(table.record.progress, watched_s=599.0)
    table.records.save(msgspec.structs.replace(table.record, progress=progress))
    table.conductor.enter_canary(ticket)
    for _ in range(4):
        table.turn(ticket, seconds=10.0)
    assert table.records.gates(ENDPOINT, ticket.rollout) == Gates(ticket.rollout)
