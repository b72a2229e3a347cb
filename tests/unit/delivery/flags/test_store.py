"""Flags in the ledger: every change kept, none lost, none half done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.shadows import HandClock
from triune.core.errors import ConfigError, Conflict, NotFound, Refused
from triune.delivery.flags import document
from triune.delivery.flags.changes import Change
from triune.delivery.flags.model import Flag, Kind
from triune.delivery.flags.planning import Planning
from triune.delivery.flags.plans import Outcome, Plan
from triune.delivery.flags.service import EMPTY, Flags
from triune.ledger.ports import Query
from triune.ledger.service import Ledger

ON_OFF = {"on": True, "off": False}
NEW = Flag("new-ui", enabled=True, variants=ON_OFF, default="off")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engine)])
def ledger(request: pytest.FixtureRequest, url_of: Callable[[str], str], tmp_path: Path) -> Any:
    made = Ledger.open(url_of(request.param), tmp_path / "journal", workspace="shop")
    yield made
    made.close()


@pytest.fixture
def flags(ledger: Ledger) -> Flags:
    return Flags(ledger, "shop")


def value(flags: Flags, unit: str, **attributes: Any) -> Any:
    evaluator = flags.current().evaluator()
    return evaluator.evaluate(
        "new-ui", None, kind=Kind.BOOLEAN, targeting_key=unit, attributes=attributes
    ).value


def test_a_change_is_an_event_with_before_and_after(flags: Flags, ledger: Ledger) -> None:
    assert flags.current() == EMPTY
    flags.set(NEW, "try it", actor="user:ada")
    flags.disable("new-ui", "it breaks", actor="user:bob")
    (first, second) = (one.event for one in ledger.select(Query(kind="flag.changed")))
    assert (first.subject, first.actor, first.payload["before"]) == (
        "flag:new-ui",
        "user:ada",
        None,
    )
    assert second.payload["before"]["state"] == "ENABLED"
    assert second.payload["after"]["state"] == "DISABLED"
    assert second.payload["reason"] == "it breaks"
    newest, oldest = flags.history("new-ui")
    assert (newest.number, newest.action, oldest.number) == (2, "disable", 1)


def test_what_is_so_already_is_no_change(flags: Flags) -> None:
    flags.set(NEW, "try it")
    assert flags.set(NEW, "again") is None
    assert flags.enable("new-ui", "again") is None
    assert len(flags.history("new-ui")) == 1


def test_only_what_happened_since_is_read(flags: Flags) -> None:
    flags.set(NEW, "try it")
    known = flags.current()
    flags.default("new-ui", "on", "all of them")
    assert flags.current(known) == flags.current()
    assert flags.current().version != known.version
    assert flags.current().find("new-ui").default == "on"


def test_a_rollout_keeps_those_in_that_are_in(flags: Flags) -> None:
    flags.set(NEW, "try it")
    units = [f"u{n}" for n in range(2_000)]
    before: set[str] = set()
    for share in (1.5, 10, 50, 100):
        flags.roll_out("new-ui", {"on": share}, "more")
        inside = {unit for unit in units if value(flags, unit)}
        assert before <= inside
        assert abs(len(inside) / len(units) - share / 100) < 0.04
        before = inside


def test_a_rollout_leaves_the_rules(flags: Flags) -> None:
    rule = {"if": [{"==": [{"var": "plan"}, "staff"]}, "on", "off"]}
    flags.set(Flag("new-ui", enabled=True, variants=ON_OFF, default="off", targeting=rule), "staff")
    flags.roll_out("new-ui", {"on": 0}, "nobody else")
    assert value(flags, "u1", plan="staff") is True
    assert value(flags, "u1", plan="free") is False
    flags.roll_out("new-ui", {"on": 100}, "everybody")
    assert value(flags, "u1", plan="free") is True


@pytest.mark.parametrize(
    ("shares", "reference"),
    [({"on": 101}, "shares-wrong"), ({"on": -1, "off": 1}, "shares-wrong"), ({}, "shares-wrong")],
)
def test_wrong_shares(flags: Flags, shares: dict[str, float], reference: str) -> None:
    flags.set(NEW, "try it")
    with pytest.raises(Refused) as caught:
        flags.roll_out("new-ui", shares, "oops")
    assert caught.value.reference == reference
    assert len(flags.history("new-ui")) == 1


def test_shares_without_a_default_or_a_rule_to_end(flags: Flags) -> None:
    flags.set(Flag("a", enabled=True, variants=ON_OFF), "no default")
    with pytest.raises(Refused, match="nobody says"):
        flags.roll_out("a", {"on": 10}, "some")
    rule = {"or": [{"var": "variant"}, "on"]}
    flags.set(Flag("b", enabled=True, variants=ON_OFF, default="off", targeting=rule), "odd")
    with pytest.raises(Refused, match="no chain"):
        flags.roll_out("b", {"on": 10}, "some")


def test_what_people_mistype(flags: Flags) -> None:
    flags.set(NEW, "try it")
    with pytest.raises(NotFound) as caught:
        flags.enable("new-iu", "x")
    assert "new-ui" in str(caught.value.hint)
    with pytest.raises(NotFound):
        flags.default("new-ui", "onn", "x")
    with pytest.raises(Refused) as refused:
        flags.disable("new-ui", "  ")
    assert refused.value.reference == "reason-missing"
    with pytest.raises(ConfigError):
        flags.set(Flag("x", enabled=True, variants=ON_OFF, default="maybe"), "x")
    assert set(flags.current().flags) == {"new-ui"}


def test_back_to_any_change_also_from_a_removal(flags: Flags) -> None:
    flags.set(NEW, "try it")
    flags.default("new-ui", "on", "all of them")
    flags.roll_back("new-ui", "not yet")
    assert flags.current().find("new-ui").default == "off"
    flags.remove("new-ui", "done")
    assert "new-ui" not in flags.current().flags
    flags.roll_back("new-ui", "not done", to=2)
    assert flags.current().find("new-ui").default == "on"
    assert [one.number for one in flags.history("new-ui")] == [5, 4, 3, 2, 1]
    with pytest.raises(NotFound):
        flags.roll_back("new-ui", "x", to=6)


def test_an_edit_is_made_to_the_flag_as_it_was_read(
    flags: Flags, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags.set(NEW, "try it")
    record, other = ledger.record, Flags(ledger, "shop")

    def overtaken(events: Any, *, all_new: bool) -> int:
        monkeypatch.setattr(ledger, "record", record)
        other.edit("new-ui", {"metadata": {"owner": "ads"}}, "mine", actor="user:eve")
        return record(events, all_new=all_new)

    for change in (
        lambda: flags.edit("new-ui", {"defaultVariant": "on"}, "all of them"),
        lambda: flags.roll_back("new-ui", "not yet", to=1),
        lambda: flags.roll_out("new-ui", {"on": 10}, "a tenth"),
    ):
        flags.disable("new-ui", "for the next round")
        monkeypatch.setattr(ledger, "record", overtaken)
        with pytest.raises(Conflict, match="user:eve changed"):
            change()
        flags.set(NEW, "again")


FILE = {
    "$evaluators": {"staff": {"==": [{"var": "plan"}, "staff"]}},
    "flags": {
        "a": {"state": "ENABLED", "variants": ON_OFF, "defaultVariant": "off",
              "targeting": {"if": [{"$ref": "staff"}, "on"]}},
        "b": {"state": "DISABLED", "variants": {"x": 1}, "defaultVariant": "x"},
    },
    "metadata": {"owner": "ads"},
}  # fmt: skip


def test_a_file_of_flagds_comes_in_and_goes_out(flags: Flags) -> None:
    flags.set(NEW, "try it")
    assert [one.key for one in flags.take(FILE, "move", dry_run=True)] == ["a", "b"]
    assert set(flags.current().flags) == {"new-ui"}
    flags.take(FILE, "move")
    assert flags.take(FILE, "again") == []
    assert flags.current().find("b").metadata == {"owner": "ads"}
    flags.take(FILE, "only these", prune=True)
    assert set(flags.current().flags) == {"a", "b"}
    before = flags.current()
    assert flags.take(document.of_flags(before.flags), "round trip", prune=True) == []


def test_a_file_with_a_mistake_changes_nothing(flags: Flags) -> None:
    broken = {"flags": {**FILE["flags"], "c": {"state": "ON", "variants": {}}}}  # type: ignore[dict-item]
    with pytest.raises(ConfigError):
        flags.take(broken, "move")
    assert flags.current() == EMPTY


def test_of_changes_at_the_same_moment_none_is_lost_silently(flags: Flags, ledger: Ledger) -> None:
    flags.set(NEW, "try it")
    made, refused = [], []

    def change(worker: int) -> None:
        for turn in range(10):
            flag = Flag("new-ui", enabled=True, variants={"v": worker * 100 + turn}, default="v")
            try:
                made.append(flags.set(flag, f"{worker}/{turn}", actor=f"user:{worker}"))
            except Conflict as conflict:
                assert conflict.reference == "flag-changed-meanwhile"
                refused.append(conflict)

    threads = [threading.Thread(target=change, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = flags.history("new-ui")[::-1]
    assert len(made) + len(refused) == 40
    assert [one.number for one in history] == list(range(1, len(made) + 2))
    assert {one.reason for one in history[1:]} == {one.reason for one in made if one}
    assert all(b.before == a.after for a, b in pairwise(history))


def test_a_repeated_attempt_whose_answer_was_lost_is_one_change(
    flags: Flags, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ledger.record

    def twice(events: Any, *, all_new: bool) -> int:
        record(events, all_new=all_new)
        return record(events, all_new=all_new)

    monkeypatch.setattr(ledger, "record", twice)
    change = flags.set(NEW, "try it")
    assert change is not None
    assert len(flags.history("new-ui")) == 1


def test_plans_are_kept_and_done_in_every_database(flags: Flags, ledger: Ledger) -> None:
    plans = Planning(ledger, flags, "shop")
    flags.set(NEW, "try it", actor="user:ada")
    flags.protect("new-ui", 1, "money", actor="user:ada")
    made = flags.roll_out("new-ui", {"on": 12.5}, "an eighth", actor="user:ada")
    assert isinstance(made, Plan)
    assert plans.waiting() == plans.all() != []
    change = plans.approve(made.id, actor="user:bob")
    assert isinstance(change, Change)
    assert change == flags.history("new-ui")[0]
    at = datetime.now(UTC) + timedelta(hours=1)
    other = flags.edit("new-ui", {"metadata": {"owner": "ads"}}, "mine", actor="user:bob", at=at)
    assert isinstance(other, Plan)
    plans.approve(other.id, actor="user:ada")
    clock = HandClock()
    clock.seconds = (at - clock.now()).total_seconds()
    (done,) = Planning(ledger, flags, "shop", clock).carry_out()
    assert (done.outcome, done.edit) == (Outcome.DONE, other.edit)
    assert flags.current().find("new-ui").metadata == {"owner": "ads"}
