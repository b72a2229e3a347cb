"""Protected flags: who asks does not decide, and what was approved is what is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.governed import ADA, BOB, EVE, MAX, NEW, Shop, shop
from triune.core.errors import Conflict, NotFound, Refused, TriuneError
from triune.delivery.flags.changes import Change
from triune.delivery.flags.plans import Outcome, Plan
from triune.ledger.ports import Query


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Shop]:
    with shop(tmp_path) as made:
        made.flags.protect("new-ui", 1, "it takes money", actor=ADA)
        yield made


def proposed(it: Shop, actor: str = ADA, variant: str = "on") -> Plan:
    plan = it.flags.default("new-ui", variant, "all of them", actor=actor)
    assert isinstance(plan, Plan)
    return plan


def test_another_person_decides(it: Shop) -> None:
    plan = proposed(it)
    assert it.flag().default == "off"
    assert (plan.id, plan.before.flag, plan.needs) == ("new-ui.1", NEW, 1)
    assert [one.id for one in it.plans.waiting()] == ["new-ui.1"]
    change = it.plans.approve("new-ui.1", actor=BOB)
    assert isinstance(change, Change)
    assert it.flag().default == "on"
    assert (change.actor, change.reason, change.action) == (ADA, "all of them", "default")
    assert change.carried is not None
    assert (change.carried.plan, change.carried.approved_by) == ("new-ui.1", (BOB,))
    assert it.plans.waiting() == []
    assert it.flags.history("new-ui")[0] == change


@pytest.mark.parametrize(
    ("actor", "reference"), [(ADA, "approval-own"), (BOB, None), (EVE, "plan-settled")]
)
def test_nobody_approves_what_is_theirs_or_done(
    it: Shop, actor: str, reference: str | None
) -> None:
    plan = proposed(it)
    if actor == EVE:
        it.plans.approve(plan.id, actor=BOB)
    if reference is None:
        it.plans.approve(plan.id, actor=actor)
        return
    with pytest.raises(TriuneError) as caught:
        it.plans.approve(plan.id, actor=actor)
    assert caught.value.reference == reference


def test_a_protected_flag_is_changed_in_no_other_way(it: Shop) -> None:
    asked = [
        it.flags.enable("new-ui", "x", actor=ADA),
        it.flags.disable("new-ui", "x", actor=ADA),
        it.flags.edit("new-ui", {"metadata": {"owner": "ads"}}, "x", actor=ADA),
        it.flags.roll_out("new-ui", {"on": 10}, "x", actor=ADA),
        it.flags.remove("new-ui", "x", actor=ADA),
        it.flags.protect("new-ui", 0, "x", actor=ADA),
        it.flags.roll_back("new-ui", "x", to=1, actor=ADA),
    ]
    assert [None if one is None else type(one) for one in asked] == [
        None, Plan, Plan, Plan, Plan, Plan, None,
    ]  # fmt: skip
    assert it.flag() == NEW
    assert it.flags.current().approvals == {"new-ui": 1}


def test_an_import_proposes_what_is_protected_and_does_the_rest(it: Shop) -> None:
    on = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    done = it.flags.take({"flags": {"new-ui": on, "other": on}}, "move", actor=ADA)
    assert [type(one) for one in done] == [Plan, Change]
    assert it.flag().default == "off"
    assert it.flags.current().find("other").default == "on"
    again = it.flags.take({"flags": {"new-ui": on, "other": on}}, "move", actor=EVE)
    assert [one.id for one in again] == ["new-ui.1"], "it waits already"  # type: ignore[union-attr]
    it.plans.approve(done[0].id, actor=BOB)  # type: ignore[union-attr]
    assert it.flag().default == "on"


def test_a_rollback_and_a_removal_wait_too(it: Shop) -> None:
    it.plans.approve(proposed(it).id, actor=BOB)
    back = it.flags.roll_back("new-ui", "no", actor=EVE)
    assert isinstance(back, Plan)
    it.plans.approve(back.id, actor=ADA)
    assert it.flag() == NEW
    gone = it.flags.remove("new-ui", "done", actor=ADA)
    assert isinstance(gone, Plan)
    it.plans.approve(gone.id, actor=BOB)
    assert "new-ui" not in it.flags.current().flags
    again = it.flags.set(NEW, "again", actor=ADA)
    assert isinstance(again, Plan), "the protection outlives the flag"


def test_protection_is_lifted_by_two_as_well(it: Shop) -> None:
    plan = it.flags.protect("new-ui", 0, "it is free now", actor=ADA)
    assert isinstance(plan, Plan)
    it.plans.approve(plan.id, actor=BOB)
    assert it.flags.current().approvals == {}
    assert isinstance(it.flags.default("new-ui", "on", "x", actor=ADA), Change)


def test_a_proposal_holds_for_the_state_that_it_was_made_on(it: Shop) -> None:
    first, second = proposed(it), it.flags.disable("new-ui", "it breaks", actor=EVE)
    assert isinstance(second, Plan)
    it.plans.approve(first.id, actor=BOB)
    with pytest.raises(Conflict) as caught:
        it.plans.approve(second.id, actor=BOB)
    assert caught.value.reference == "proposal-outdated"
    assert 'defaultVariant "off" -> "on"' in caught.value.message
    assert it.flag().enabled
    it.plans.reject(second.id, "outdated", actor=BOB)
    assert it.plans.waiting() == []


def test_a_proposal_is_turned_down_once_with_a_reason(it: Shop) -> None:
    plan = proposed(it)
    with pytest.raises(Refused, match="needs a reason"):
        it.plans.reject(plan.id, " ", actor=BOB)
    assert it.plans.reject(plan.id, "not now", actor=ADA).outcome is Outcome.REJECTED
    with pytest.raises(Conflict) as caught:
        it.plans.approve(plan.id, actor=BOB)
    assert (caught.value.reference, caught.value.context) == ("plan-settled", "not now")
    with pytest.raises(NotFound, match="no plan"):
        it.plans.reject("new-ui.7", "x", actor=BOB)


def test_an_emergency_goes_around_approval_and_is_written_down(it: Shop) -> None:
    change = it.flags.disable("new-ui", "it burns", actor=ADA, force=True)
    assert isinstance(change, Change)
    assert change.forced
    assert not it.flag().enabled
    assert it.flags.current().approvals == {"new-ui": 1}
    it.flags.edit("open", {}, "x", actor=ADA)
    other = it.flags.disable("open", "x", actor=ADA, force=True)
    assert isinstance(other, Change)
    assert not other.forced, "nothing was gone around"


def test_two_approvals_are_two_people(it: Shop) -> None:
    more = it.flags.protect("new-ui", 2, "more", actor=ADA)
    assert isinstance(more, Plan)
    it.plans.approve(more.id, actor=BOB)
    plan = proposed(it)
    assert isinstance(it.plans.approve(plan.id, actor=BOB), Plan)
    assert it.flag().default == "off"
    with pytest.raises(Refused) as caught:
        it.plans.approve(plan.id, actor=BOB)
    assert caught.value.reference == "approval-twice"
    change = it.plans.approve(plan.id, actor=EVE)
    assert isinstance(change, Change)
    assert change.carried is not None
    assert change.carried.approved_by == (BOB, EVE)


def test_a_proposal_needs_what_is_asked_by_now(it: Shop) -> None:
    plan = proposed(it)
    more = it.flags.protect("new-ui", 2, "more", actor=ADA)
    assert isinstance(more, Plan)
    it.plans.approve(more.id, actor=BOB)
    assert isinstance(it.plans.approve(plan.id, actor=BOB), Plan)
    assert [(one.id, one.needs) for one in it.plans.waiting()] == [(plan.id, 2)]
    assert isinstance(it.plans.approve(plan.id, actor=EVE), Change)


def test_of_many_who_decide_at_once_one_does(it: Shop) -> None:
    plan, done, refused = proposed(it), [], []

    def decide(number: int) -> None:
        plans = it.another()
        try:
            if number % 2:
                done.append(plans.approve(plan.id, actor=f"user:{number}"))
            else:
                done.append(plans.reject(plan.id, "no", actor=f"user:{number}"))
        except Conflict as error:
            assert error.reference in ("plan-settled", "proposal-outdated")
            refused.append(error)

    threads = [threading.Thread(target=decide, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(refused)) == (1, 7)
    assert it.ledger.count(Query(kind="flag_plan.settled")) == 1
    assert it.ledger.count(Query(kind="flag.changed")) == 2 + isinstance(done[0], Change)


@pytest.mark.parametrize("after", [False, True])
def test_killed_in_the_moment_of_approval(
    it: Shop, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    plan, record = proposed(it), it.ledger.record

    def killed(*events: object, **how: object) -> int:
        if after:
            record(*events, **how)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(it.ledger, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            it.plans.approve(plan.id, actor=BOB)
    if after:
        with pytest.raises(Conflict, match="is done by"):
            it.another().approve(plan.id, actor=BOB)
    else:
        it.another().approve(plan.id, actor=MAX)
    assert it.flag().default == "on"
    assert it.ledger.count(Query(kind="flag.changed")) == 3


def test_a_lost_answer_is_one_approval(it: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, record = proposed(it), it.ledger.record

    def twice(events: object, *, all_new: bool) -> int:
        record(events, all_new=all_new)  # type: ignore[arg-type]
        return record(events, all_new=all_new)  # type: ignore[arg-type]

    monkeypatch.setattr(it.ledger, "record", twice)
    assert isinstance(it.plans.approve(plan.id, actor=BOB), Change)
    assert it.ledger.count(Query(kind="flag.changed")) == 3


def test_what_is_protected_by_nobody(it: Shop) -> None:
    with pytest.raises(NotFound):
        it.flags.protect("gone", 1, "x")
    with pytest.raises(Refused) as caught:
        it.flags.protect("new-ui", -1, "x")
    assert caught.value.reference == "approvals-wrong"
    assert it.flags.protect("new-ui", 1, "again") is None
