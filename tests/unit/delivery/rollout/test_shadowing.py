"""The shadow's watch: what it does without answers, without a record, and when it is late."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shadows import append, sample
from tests.support.tabletop import CANARY, ENDPOINT, SHADOW, Tabletop
from triune.core.errors import Unavailable
from triune.delivery.rollout.model import Ticket
from triune.delivery.rollout.shadow import ShadowState, ShadowWatch
from triune.delivery.state import Outcome, Phase
from triune.ledger.envelope import microseconds

FIRST = CANARY.replace("horizon_s = 600", "horizon_s = 100") + "shadow_pairs = 20\n"
TICK_SECONDS = 10.0
HORIZON_TICKS = 10


def answered(table: Tabletop, count: int, *, differing: int = 0) -> None:
    """Both arms note so many answers, of which some differ."""
    now = table.now
    assert now.live is not None
    assert now.pending is not None
    at = microseconds(table.clock.now()) + 1_000_000  # they began after the watch did
    for number in range(count):
        other = {"labels": ("0",), "probabilities": (0.1,)} if number < differing else {}
        name = f"{at}-{number}"
        append(table.root / now.live.upstream, sample(name, time_us=at))
        append(table.root / now.pending.arm.upstream, sample(name, time_us=at, **other))


def mirrors(table: Tabletop) -> bool:
    return table.gateway.table.routes[0].mirror is not None


def questions(table: Tabletop) -> int:
    told = table.log.kinds("rollout.gated")
    return sum(event.actor == "service:controller" for event in told)


def ticks_until_asked(table: Tabletop, ticket: Ticket) -> int:
    before, ticks = questions(table), 0
    while questions(table) == before:
        table.turn(ticket, seconds=TICK_SECONDS)
        ticks += 1
    return ticks


def unreadable(_: ShadowWatch, state: ShadowState) -> None:
    raise Unavailable("samples-unreadable", f"no answers since {state}")


@pytest.mark.parametrize("away", [False, True])
def test_a_shadow_without_pairs_asks_once_and_again_after_a_whole_horizon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    table = Tabletop(tmp_path, SHADOW)
    if away:
        monkeypatch.setattr(ShadowWatch, "look", unreadable)
    ticket = table.shadowing()
    table.turn(ticket)
    for number in (1, 2):
        assert ticks_until_asked(table, ticket) == HORIZON_TICKS
        pause = table.records.gates(ENDPOINT, ticket.rollout).paused
        assert pause is not None
        assert pause.actor == "service:controller"
        for _ in range(15):
            table.turn(ticket, seconds=TICK_SECONDS)
        assert (questions(table), table.now.phase) == (number, Phase.SHADOWING)
        table.conductor.gate(ticket, "resume", table.wish("wait on"))
        table.turn(ticket)


def test_an_end_of_a_pause_does_not_silence_the_question(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, SHADOW)
    ticket = table.shadowing()
    table.turn(ticket)
    table.conductor.gate(ticket, "pause", table.wish("lunch"))
    for _ in range(15):
        table.turn(ticket, seconds=TICK_SECONDS)
    table.conductor.gate(ticket, "resume", table.wish("lunch is over"))
    assert questions(table) == 0
    assert ticks_until_asked(table, ticket) == HORIZON_TICKS


def test_a_question_whose_watch_died_is_asked_by_the_next(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, SHADOW)
    ticket = table.shadowing()
    table.turn(ticket)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(table.records), "save_gates", dies)
        ticks_until_asked(table, ticket)
    table.take_up()
    table.turn(ticket)
    assert questions(table) == 1


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]"])
def test_a_shadow_without_a_record_is_withdrawn(tmp_path: Path, content: bytes | None) -> None:
    table = Tabletop(tmp_path, SHADOW)
    ticket = table.shadowing()
    table.turn(ticket)
    table.record_path.unlink()
    if content is not None:
        table.record_path.write_bytes(content)
    assert table.turn(ticket, seconds=TICK_SECONDS).over
    assert not mirrors(table)
    assert table.now.last is not None
    assert table.now.last.outcome is Outcome.ROLLED_BACK


def test_a_late_comparison_leaves_the_next_rollout_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Tabletop(tmp_path, SHADOW)
    ticket = table.shadowing()
    table.turn(ticket)
    look = ShadowWatch.look

    def late(watch: ShadowWatch, state: ShadowState) -> object:
        table.conductor.abort(ticket, table.wish())
        table.shadowing()
        return look(watch, state)

    monkeypatch.setattr(ShadowWatch, "look", late)
    assert table.turn(ticket, seconds=TICK_SECONDS).over
    assert table.record.rollout != ticket.rollout
    assert (table.record.shadow, table.record.mark) == (None, "")
    assert table.now.phase is Phase.SHADOWING


def test_a_shadow_that_differs_is_left_while_nothing_can_be_told(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, FIRST)
    ticket = table.shadowing()
    table.turn(ticket)
    assert mirrors(table)
    table.log.full = True
    answered(table, 30, differing=30)
    table.take_up()
    table.turn(ticket)
    assert (mirrors(table), table.weight) == (False, 0)


def test_a_paused_shadow_that_passes_moves_nobody_until_it_is_resumed(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, FIRST)
    ticket = table.shadowing()
    table.turn(ticket)
    table.conductor.gate(ticket, "pause", table.wish("wait"))
    answered(table, 30)
    table.turn(ticket, seconds=TICK_SECONDS)
    assert table.now.phase is Phase.SHADOWING
    table.conductor.gate(ticket, "resume", table.wish("go"))
    table.turn(ticket, seconds=TICK_SECONDS)
    assert (table.now.phase.value, table.weight) == ("canary", 0)


def test_an_abort_between_the_verdict_and_the_canary_wins(tmp_path: Path) -> None:
    table = Tabletop(tmp_path, FIRST)
    ticket = table.shadowing()
    table.turn(ticket)
    answered(table, 30)

    def told(step: str) -> None:
        if step == "told-comparison":
            table.conductor.gate(ticket, "abort", table.wish())

    table.told = told
    table.turn(ticket, seconds=TICK_SECONDS)
    table.told = lambda _: None
    while table.now.phase is not Phase.SERVING:
        assert table.weight == 0
        table.turn(ticket, seconds=TICK_SECONDS)
    assert table.now.last is not None
    assert table.now.last.outcome is Outcome.ROLLED_BACK
