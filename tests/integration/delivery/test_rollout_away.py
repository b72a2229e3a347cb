"""A gateway that is away at a step gets the step when it is back, from the watch alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tabletop import Tabletop
from triune.core.errors import Unavailable


def test_a_first_step_that_the_gateway_missed_is_taken_when_it_is_back(tmp_path: Path) -> None:
    table = Tabletop(tmp_path)
    ticket = table.canary()
    table.gateway.reachable = False
    for _ in range(3):
        table.turn(ticket, seconds=10.0)
    assert table.record.progress.gaps > 0
    assert table.weight == 0
    table.gateway.reachable = True
    table.turn(ticket, seconds=10.0)
    assert table.weight == table.record.definition.steps[0]
    (stepped,) = table.log.kinds("rollout.stepped")
    assert stepped.payload["weight"] == table.weight


def test_a_later_step_that_the_gateway_missed_is_taken_when_it_is_back(tmp_path: Path) -> None:
    table = Tabletop(tmp_path)
    ticket = table.begun()
    for _ in range(2):
        table.look(ticket)
    table.traffic()
    snapshot = table.gateway.snapshot()
    table.gateway.reachable = False
    with pytest.raises(Unavailable):
        table.turn(ticket, lambda: snapshot, seconds=10.0)
    assert table.record.progress.step == 1
    table.take_up()
    table.turn(ticket, seconds=10.0)
    assert table.weight == table.record.definition.steps[0]
    table.gateway.reachable = True
    table.turn(ticket, seconds=10.0)
    assert table.weight == table.record.definition.steps[1]
    told = [event.payload["weight"] for event in table.log.kinds("rollout.stepped")]
    assert told == list(table.record.definition.steps)
