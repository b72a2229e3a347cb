"""A tick is the difference of two readings, or a gap that says why there is none."""

from __future__ import annotations

import pytest

from tests.support.evidence import CONTEST, seen, tally
from triune.delivery.gateway.model import Stratum, Tally
from triune.delivery.rollout.readings import Gap, Tick, between


def test_a_tick_is_what_came_in_between() -> None:
    before = seen(stable=tally(100, 3, {10.0: 100}), candidate=tally(10, 1, {10.0: 10}))
    later = seen(stable=tally(190, 4, {10.0: 150, 11.0: 40}), candidate=tally(20, 1, {10.0: 20}))
    found = between(before, later, CONTEST, 10.0)
    assert isinstance(found, Tick)
    assert found.requests() == (90, 10)
    assert found.errors() == (1, 0)
    assert found.control[Stratum.UNIT].latency == {10.0: 50, 11.0: 40}


def test_what_callers_gave_up_on_is_told_apart() -> None:
    before = seen(stable=Tally(5, abandoned=1))
    found = between(before, seen(stable=Tally(9, abandoned=3)), CONTEST, 1.0)
    assert isinstance(found, Tick)
    assert found.control[Stratum.UNIT] == Tally(4, abandoned=2)
    assert found.requests() == (4, 0)


def test_an_arm_that_was_not_asked_has_counted_nothing() -> None:
    found = between(seen(stable=tally(1)), seen(stable=tally(2)), CONTEST, 1.0)
    assert isinstance(found, Tick)
    assert found.requests() == (1, 0)


@pytest.mark.parametrize(
    ("before", "later", "why"),
    [
        (seen(stable=tally(1)), None, "gives no readings"),
        (None, seen(stable=tally(1)), "no earlier reading"),
        (seen("e1", stable=tally(1)), seen("e2", stable=tally(9)), "started anew"),
        (seen(stable=tally(5)), seen(stable=tally(4)), "went back"),
        (seen(stable=Tally(abandoned=2)), seen(stable=Tally(abandoned=1)), "went back"),
        (
            seen(stable=tally(5, latency={10.0: 5})),
            seen(stable=tally(6, latency={11.0: 6})),
            "went back",
        ),
    ],
)
def test_what_is_not_known_is_a_gap(before: object, later: object, why: str) -> None:
    found = between(before, later, CONTEST, 1.0)  # type: ignore[arg-type]
    assert isinstance(found, Gap)
    assert why in found.why
