"""Changes at their time: once, in order, late when they must be, and not over somebody's head."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.governed import ADA, BOB, NEW, START, Shop, shop
from triune.core.errors import NotFound, Refused
from triune.delivery.flags.planning import SERVICE, lateness
from triune.delivery.flags.plans import Outcome, Plan
from triune.ledger.ports import Query


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Shop]:
    with shop(tmp_path) as made:
        yield made


def default_at(it: Shop, variant: str = "on", **by: float) -> Plan:
    plan = it.flags.default("new-ui", variant, "launch", actor=ADA, at=it.later(**by))
    assert isinstance(plan, Plan)
    return plan


def ended(it: Shop, plan: Plan) -> tuple[Outcome | None, str]:
    (one,) = [one for one in it.plans.all() if one.id == plan.id]
    return one.outcome, one.words


def test_it_is_done_at_its_time_and_not_before(it: Shop) -> None:
    plan = default_at(it, hours=2)
    assert [one.id for one in it.plans.scheduled()] == [plan.id]
    it.clock.forward(hours=1.99)
    assert it.plans.carry_out() == []
    assert it.flag().default == "off"
    it.clock.forward(hours=0.01)
    (done,) = it.plans.carry_out()
    assert (done.outcome, done.words, done.settled_by) == (Outcome.DONE, "", SERVICE)
    assert it.flag().default == "on"
    change = it.flags.history("new-ui")[0]
    assert (change.actor, change.reason, change.action) == (ADA, "launch", "default")
    assert change.carried is not None
    assert (change.carried.due, change.late, change.by_hand) == (plan.due, None, False)
    assert it.plans.scheduled() == it.plans.carry_out() == []


def test_after_an_outage_it_is_done_late_and_said_so(it: Shop) -> None:
    plan = default_at(it, hours=1)
    it.clock.forward(hours=27, minutes=5)
    it.plans.carry_out()
    assert ended(it, plan) == (Outcome.DONE, "1 d 2 h 5 min late")
    assert it.flags.history("new-ui")[0].late == timedelta(hours=26, minutes=5)


def test_what_was_missed_is_done_in_the_order_of_its_times(it: Shop) -> None:
    it.flags.roll_out("new-ui", {"on": 50}, "half", at=it.later(hours=3))
    it.flags.roll_out("new-ui", {"on": 10}, "a tenth", at=it.later(hours=2))
    it.flags.disable("new-ui", "the night", at=it.later(hours=4))
    it.flags.enable("new-ui", "the morning", at=it.later(hours=5))
    it.clock.forward(hours=6)
    assert [one.outcome for one in it.plans.carry_out()] == [Outcome.DONE] * 4
    reasons = [one.reason for one in it.flags.history("new-ui")]
    assert reasons[:4] == ["the morning", "the night", "half", "a tenth"]
    assert it.flag().targeting == {"fractional": [["on", 5000], ["off", 5000]]}


@pytest.mark.parametrize(
    ("asked", "by_hand", "outcome"),
    [
        # What a person does to the same field goes before.
        ({"variant": "on"}, {"defaultVariant": "on"}, Outcome.REFUSED),
        ({"variant": "on"}, {"state": "DISABLED"}, Outcome.DONE),
        ({"variant": "on"}, {"metadata": {"owner": "ads"}}, Outcome.DONE),
        ({"shares": {"on": 10}}, {"targeting": {"if": [{"var": "x"}, "on"]}}, Outcome.REFUSED),
        # The rest of a split goes to the default variant.
        ({"shares": {"on": 10}}, {"defaultVariant": "on"}, Outcome.REFUSED),
        ({"shares": {"on": 10}}, {"state": "DISABLED"}, Outcome.DONE),
        ({"fields": {"metadata": {"a": 1}}}, {"metadata": {"b": 1}}, Outcome.REFUSED),
        ({"fields": {"state": "DISABLED"}}, {"defaultVariant": "on"}, Outcome.DONE),
    ],
)
def test_it_gives_way_to_what_a_person_did_to_the_same(
    it: Shop, asked: dict[str, Any], by_hand: dict[str, Any], outcome: Outcome
) -> None:
    at = it.later(hours=1)
    if "variant" in asked:
        plan = it.flags.default("new-ui", asked["variant"], "launch", at=at)
    elif "shares" in asked:
        plan = it.flags.roll_out("new-ui", asked["shares"], "launch", at=at)
    else:
        plan = it.flags.edit("new-ui", asked["fields"], "launch", at=at)
    it.flags.edit("new-ui", by_hand, "by hand", actor=BOB)
    before = it.flag()
    it.clock.forward(hours=1)
    it.plans.carry_out()
    assert isinstance(plan, Plan)
    ends, words = ended(it, plan)
    assert ends is outcome
    if outcome is Outcome.REFUSED:
        assert words.startswith(f"schedule-overtaken: {BOB} changed ")
        assert words.endswith("meanwhile (change 2)")
        assert it.flag() == before


def test_a_flag_that_was_removed_meanwhile(it: Shop) -> None:
    plan = default_at(it, hours=1)
    it.flags.remove("new-ui", "done", actor=BOB)
    it.clock.forward(hours=1)
    it.plans.carry_out()
    ends, words = ended(it, plan)
    assert ends is Outcome.REFUSED
    assert BOB in words


def test_a_flag_that_is_made_at_its_time(it: Shop) -> None:
    it.flags.edit("later", {}, "the launch", actor=ADA, at=it.later(hours=1))
    assert "later" not in it.flags.current().flags
    it.clock.forward(hours=1)
    it.plans.carry_out()
    assert it.flags.current().find("later").default == "off"
    assert it.flags.history("later")[0].number == 1


def test_what_cannot_be_done_any_more_is_refused_with_the_rule(it: Shop) -> None:
    it.flags.edit("new-ui", {"variants": {"on": True, "off": False, "x": True}}, "x", actor=ADA)
    plan = default_at(it, "x", hours=2)
    other = it.flags.edit(
        "new-ui", {"targeting": {"if": [{"var": "a"}, "x"]}}, "rule", at=it.later(hours=2)
    )
    it.flags.edit("new-ui", {"variants": {"on": True, "off": False}}, "no x", actor=BOB)
    it.clock.forward(hours=2)
    it.plans.carry_out()
    assert ended(it, plan)[0] is Outcome.REFUSED
    assert ended(it, plan)[1].startswith("variant-unknown:")
    assert isinstance(other, Plan)
    assert "answers 'x', which is no variant" in ended(it, other)[1]
    assert it.flag().default == "off"


def test_what_is_so_already_at_its_time(it: Shop) -> None:
    plan = it.flags.enable("new-ui", "sure", at=it.later(hours=1))
    it.clock.forward(hours=1)
    it.plans.carry_out()
    assert isinstance(plan, Plan)
    assert ended(it, plan)[0] is Outcome.NOTHING
    assert len(it.flags.history("new-ui")) == 1


@pytest.mark.parametrize(
    ("at", "reference"),
    [
        (START, "time-passed"),
        (START - timedelta(days=1), "time-passed"),
        (datetime(2026, 12, 24, 8), "time-without-zone"),  # noqa: DTZ001
    ],
)
def test_times_that_are_none(it: Shop, at: datetime, reference: str) -> None:
    with pytest.raises(Refused) as caught:
        it.flags.disable("new-ui", "x", at=at)
    assert caught.value.reference == reference
    assert it.plans.all() == []


def test_a_mistake_is_told_when_it_is_asked_for(it: Shop) -> None:
    with pytest.raises(NotFound):
        default_at(it, "onn", hours=1)
    with pytest.raises(NotFound):
        it.flags.enable("new-iu", "x", at=it.later(hours=1))


def test_it_is_taken_back(it: Shop) -> None:
    plan = default_at(it, hours=1)
    assert it.plans.withdraw(plan.id, "not yet", actor=BOB).outcome is Outcome.WITHDRAWN
    it.clock.forward(hours=2)
    assert it.plans.carry_out() == []
    assert it.flag() == NEW


def test_of_several_that_carry_out_one_does(it: Shop) -> None:
    default_at(it, hours=1)
    it.flags.disable("new-ui", "the night", at=it.later(hours=1))
    it.clock.forward(hours=1)
    done: list[Plan] = []
    others = [it.another() for _ in range(6)]
    threads = [
        threading.Thread(target=lambda one=one: done.extend(one.carry_out())) for one in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    it.plans.carry_out()
    assert it.ledger.count(Query(kind="flag.changed")) == 3
    assert it.ledger.count(Query(kind="flag_plan.settled")) == 2
    assert it.flag().default == "on"
    assert not it.flag().enabled


@pytest.mark.parametrize("after", [False, True])
def test_killed_while_it_is_done(it: Shop, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    default_at(it, hours=1)
    it.clock.forward(hours=1)
    record = it.ledger.record

    def killed(*events: object, **how: object) -> int:
        if after:
            record(*events, **how)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(it.ledger, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            it.plans.carry_out()
    assert len(it.another().carry_out()) == (0 if after else 1)
    assert it.flag().default == "on"
    assert it.ledger.count(Query(kind="flag.changed")) == 2


def test_one_that_needs_approval_has_it_before_its_time(it: Shop) -> None:
    it.flags.protect("new-ui", 1, "money", actor=ADA)
    approved, forgotten = default_at(it, hours=1), default_at(it, "off", hours=2)
    assert [one.id for one in it.plans.waiting()] == [approved.id, forgotten.id]
    assert isinstance(it.plans.approve(approved.id, actor=BOB), Plan)
    it.clock.forward(hours=2)
    with pytest.raises(Refused) as caught:
        it.plans.approve(forgotten.id, actor=BOB)
    assert caught.value.reference == "approval-late"
    it.plans.carry_out()
    assert ended(it, approved)[0] is Outcome.DONE
    assert ended(it, forgotten) == (
        Outcome.REFUSED, "approval-missing: 0 of 1 approved in time",
    )  # fmt: skip
    change = it.flags.history("new-ui")[0]
    assert change.carried is not None
    assert (change.actor, change.carried.approved_by) == (ADA, (BOB,))


def test_what_was_approved_gives_way_to_any_change_by_hand(it: Shop) -> None:
    it.flags.protect("new-ui", 1, "money", actor=ADA)
    plan = default_at(it, hours=1)
    it.plans.approve(plan.id, actor=BOB)
    it.flags.disable("new-ui", "it burns", actor=BOB, force=True)
    it.clock.forward(hours=1)
    it.plans.carry_out()
    assert ended(it, plan)[1] == f"schedule-overtaken: {BOB} changed state meanwhile (change 3)"


def test_a_flag_that_was_protected_after_it_was_scheduled(it: Shop) -> None:
    plan = default_at(it, hours=1)
    it.flags.protect("new-ui", 1, "money", actor=BOB)
    it.clock.forward(hours=1)
    it.plans.carry_out()
    assert ended(it, plan)[1].startswith("approval-missing")
    assert it.flag() == NEW


def test_lateness_in_words() -> None:
    assert lateness(timedelta(seconds=59)) == ""
    assert lateness(timedelta(minutes=1)) == "1 min late"
    assert lateness(timedelta(hours=48)) == "2 d late"
