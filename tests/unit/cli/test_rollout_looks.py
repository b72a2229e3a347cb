"""Looks as they reach the ledger: each once, in order, and only this rollout's."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support import rollout_views as made
from tests.support.rollout_views import Log
from triune.cli.rollout_looks import Looks, points, rates
from triune.core.errors import Unavailable


def test_every_look_is_given_once_as_it_arrives() -> None:
    events = made.looks(5)
    log = Log(events[:3])
    looks = Looks(log.select, made.canary())
    assert looks.new() == events[:3]
    assert looks.new() == []
    log.events.append(events[3])
    assert looks.new() == [events[3]]


def test_looks_of_another_rollout_of_the_release_are_left_out() -> None:
    mine, other = made.looks(2)
    theirs = replace(other, payload={**other.payload, "rollout": "another"})
    assert Looks(Log([mine, theirs]).select, made.canary()).new() == [mine]


def test_comparisons_of_a_shadow_come_in_the_ledgers_order() -> None:
    first, second = made.looks(2)
    events = [first, made.comparison(), second, made.comparison(20)]
    assert Looks(Log(events).select, made.canary()).new() == events


def test_while_the_ledger_is_down_nothing_is_lost() -> None:
    events, down = made.looks(2), True

    def select(query: object) -> object:
        if down:
            raise Unavailable("ledger-unreachable", "the ledger does not answer")
        return Log(events).select(query)  # type: ignore[arg-type]

    looks = Looks(select, made.canary())  # type: ignore[arg-type]
    assert looks.new() == []
    assert looks.trouble == "the ledger does not answer"
    down = False
    assert looks.new() == events
    assert looks.trouble == ""


def test_a_gap_in_the_readings_is_a_point_without_requests() -> None:
    found = points(made.looks(20))
    assert (found[19].control, found[19].candidate) == (0, 0)
    assert (found[18].control, found[18].candidate, found[18].weight) == (990, 10, 1.0)


def test_comparisons_are_no_points() -> None:
    assert points([made.comparison()]) == []


@pytest.mark.parametrize("most", [1, 7, 53, 1000])
def test_rates_are_sums_over_stretches_and_miss_nothing(most: int) -> None:
    looks = points(made.looks(53))
    found = rates(looks, most)
    assert len(found) <= most
    assert found[-1][0] == looks[-1].at
    if most == 1:
        errors = sum(look.control_errors for look in looks)
        assert found[0][1] == pytest.approx(errors / sum(look.control for look in looks))


def test_a_stretch_without_requests_has_no_rate() -> None:
    assert rates(points(made.looks(20)[19:]), 5) == [(made.BEGUN + 200, None, None)]
