"""Whatever people and the clock do in whatever order: no change without those it needed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.governed import ADA, BOB, EVE, NEW, Shop, shop
from triune.core.errors import TriuneError
from triune.delivery.flags.plans import Outcome
from triune.ledger.ports import Query

PEOPLE = st.sampled_from([ADA, BOB, EVE])
ACTS = st.one_of(
    st.tuples(st.just("default"), PEOPLE, st.sampled_from(["on", "off"]), st.integers(0, 3)),
    st.tuples(st.just("split"), PEOPLE, st.integers(0, 100), st.integers(0, 3)),
    st.tuples(st.just("switch"), PEOPLE, st.booleans(), st.integers(0, 3)),
    st.tuples(st.just("force"), PEOPLE, st.just(0), st.just(0)),
    st.tuples(st.just("protect"), PEOPLE, st.integers(0, 2), st.just(0)),
    st.tuples(st.just("remove"), PEOPLE, st.just(0), st.just(0)),
    st.tuples(st.just("back"), PEOPLE, st.integers(1, 5), st.just(0)),
    st.tuples(st.just("approve"), PEOPLE, st.integers(0, 9), st.just(0)),
    st.tuples(st.just("approve"), PEOPLE, st.integers(0, 9), st.just(0)),
    st.tuples(st.just("reject"), PEOPLE, st.integers(0, 9), st.just(0)),
    st.tuples(st.just("pass"), PEOPLE, st.integers(0, 5000), st.just(0)),
)


def act(it: Shop, what: str, who: str, which: object, hours: int) -> None:
    at = it.later(hours=hours) if hours else None
    number = int(str(which)) if str(which).isdigit() else 0
    known = it.plans.all()
    name = known[number % len(known)].id if known else "none"
    match what:
        case "default":
            it.flags.default("new-ui", str(which), "x", actor=who, at=at)
        case "split":
            it.flags.roll_out("new-ui", {"on": number}, "x", actor=who, at=at)
        case "switch" if which:
            it.flags.enable("new-ui", "x", actor=who, at=at)
        case "switch":
            it.flags.disable("new-ui", "x", actor=who, at=at)
        case "force":
            it.flags.disable("new-ui", "x", actor=who, force=True)
        case "protect":
            it.flags.protect("new-ui", number, "x", actor=who)
        case "remove":
            it.flags.remove("new-ui", "x", actor=who)
        case "back":
            it.flags.roll_back("new-ui", "x", to=number, actor=who)
        case "approve":
            it.plans.approve(name, actor=who)
        case "reject":
            it.plans.reject(name, "x", actor=who)
        case "pass":
            it.clock.forward(seconds=number)
            it.plans.carry_out()


@settings(max_examples=400)
@given(approvals=st.integers(0, 2), acts=st.lists(ACTS, min_size=8, max_size=25))
def test_every_change_of_a_protected_flag_had_its_approvals(
    approvals: int, acts: list[tuple[str, str, object, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, shop(Path(folder)) as it:
        it.flags.protect("new-ui", approvals, "x", actor=ADA)
        for one in acts:
            try:
                act(it, *one)
            except TriuneError as error:
                assert error.hint
        it.clock.forward(hours=4)
        it.plans.carry_out()
        check(it)


def check(it: Shop) -> None:
    """What must hold of any history."""
    state, needed = None, 0
    carried = []
    for change in reversed(it.flags.history("new-ui")):
        assert change.before == state
        approvers = change.carried.approved_by if change.carried else ()
        assert len(set(approvers)) == len(approvers)
        assert change.actor not in approvers
        assert change.forced or len(approvers) >= needed
        assert not change.forced or (change.action == "disable" and needed)
        if change.carried:
            carried.append(change.carried.plan)
            assert change.carried.due is None or change.at >= change.carried.due
        state, needed = change.after, change.approvals
    assert it.flags.current().flags.get("new-ui") == state
    plans = it.another().all()
    assert sorted(carried) == sorted(one.id for one in plans if one.outcome is Outcome.DONE)
    assert all(one.outcome for one in plans if one.due), "no schedule is forgotten"
    settled = [s.event.payload["plan"] for s in it.ledger.select(Query(kind="flag_plan.settled"))]
    assert len(settled) == len(set(settled))
    assert NEW.key == "new-ui"
