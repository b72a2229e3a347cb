"""When the weight changes, the cohorts of outcomes know; also after a step that failed half-way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tabletop import CANARY, Tabletop
from triune.core.errors import Unavailable
from triune.delivery.rollout.changes import Change
from triune.delivery.rollout.model import Ticket
from triune.delivery.rollout.quality import QualityState
from triune.ledger.envelope import microseconds

METRICS = 'metrics = [{ name = "errors" }, { name = "wrong", mode = "observe" }]'


@pytest.fixture
def table(tmp_path: Path) -> Tabletop:
    return Tabletop(tmp_path, CANARY.replace('metrics = [{ name = "errors" }]', METRICS))


def quality(table: Tabletop) -> QualityState:
    found = table.record.quality
    assert found is not None
    return found


def now_us(table: Tabletop) -> int:
    return microseconds(table.clock.now())


def at_the_last_look(table: Tabletop) -> Ticket:
    """A canary whose next look ends its first step."""
    ticket = table.begun()
    for _ in range(2):
        table.look(ticket)
    assert quality(table).shelf.changes == ()
    return ticket


def fails_half_way(table: Tabletop) -> Ticket:
    """A canary whose second step is decided, but the gateway was not told."""
    ticket = at_the_last_look(table)

    def away(step: str) -> None:
        if step == "kept-advance":
            table.gateway.reachable = False

    table.told = away
    with pytest.raises(Unavailable):
        table.look(ticket)
    table.told = lambda _: None
    assert quality(table).changing
    return ticket


def test_a_step_is_a_change_that_is_over_when_the_gateway_has_it(table: Tabletop) -> None:
    ticket = at_the_last_look(table)
    table.look(ticket)
    stepped = now_us(table)
    assert (table.weight, quality(table).changing) == (5000, True)
    table.look(ticket)
    assert quality(table).shelf.changes == (Change(stepped, stepped),)


@pytest.mark.parametrize("killed", [True, False])
def test_a_step_that_failed_half_way_lasts_until_it_is_done_again(
    table: Tabletop, killed: bool
) -> None:
    ticket = fails_half_way(table)
    begun = now_us(table)
    if killed:
        table.take_up()
    table.gateway.reachable = True
    table.clock.seconds += 15.0
    table.look(ticket)
    assert table.weight == 5000
    assert quality(table).shelf.changes == (Change(begun, now_us(table)),)


def test_without_the_metric_nothing_is_kept(tmp_path: Path) -> None:
    table = Tabletop(tmp_path)
    ticket = table.begun()
    for _ in range(4):
        table.look(ticket)
    assert (table.weight, table.record.quality) == (5000, None)
