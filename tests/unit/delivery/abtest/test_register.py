"""Two people at the same moment: one of them is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.support.abtest_facts import DECLARED, MemoryLog
from triune.core.abtest_config import Promotion
from triune.core.errors import Conflict, Refused
from triune.delivery.abtest import runs
from triune.delivery.abtest.register import Register
from triune.delivery.flags.model import Flag
from triune.delivery.flags.service import Flags
from triune.ledger.envelope import Event

OTHER = replace(DECLARED, name="menu", flag="menu", salt="menu")


class Interrupted(MemoryLog):
    """A log before whose next writes somebody else comes."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[], object]] = []
        self.others = False

    def record(self, events: Sequence[Event], *, all_new: bool = False) -> int:
        if self.meanwhile and not self.others:
            self.others = True
            self.meanwhile.pop(0)()
            self.others = False
        return super().record(events, all_new=all_new)


@pytest.fixture
def log() -> Interrupted:
    made = Interrupted()
    flags = Flags(made, "shop")
    for key in ("new-ui", "menu"):
        flags.set(Flag(key, True, {"on": True, "off": False}, "off"), "a page")
    return made


def start(
    log: MemoryLog, declaration: runs.Declaration = DECLARED, reason: str = "mine"
) -> runs.Run:
    payload = runs.as_started(
        declaration, reason=reason, arms={}, rollout=None, promotion=Promotion.ASK
    )
    return Register(log, "shop", Flags(log, "shop")).start(declaration, payload, "user:ada")


def test_of_two_that_start_the_same_one_is_told(log: Interrupted) -> None:
    log.meanwhile = [lambda: start(log, reason="theirs")]
    with pytest.raises(Conflict) as told:
        start(log)
    assert told.value.reference == "test-running"
    assert "theirs" in (told.value.context or "")
    assert len(Register(log, "shop", Flags(log, "shop")).runs().all) == 1


def test_two_that_do_not_meet_both_start(log: Interrupted) -> None:
    log.meanwhile = [lambda: start(log, OTHER)]
    assert start(log).number == 2
    assert [run.name for run in Register(log, "shop", Flags(log, "shop")).runs().running] == [
        "menu",
        "checkout",
    ]


def test_a_flag_that_changes_at_the_same_moment_keeps_both(log: Interrupted) -> None:
    flags = Flags(log, "shop")
    log.meanwhile = [lambda: flags.roll_out("new-ui", {"on": 10}, "the first tenth")]
    run = start(log)
    targeting = flags.current().find("new-ui").targeting
    assert targeting["if"][2] == {"fractional": [["on", 1000], ["off", 9000]]}
    Register(log, "shop", flags).end(
        run.name, runs.STOPPED, {"reason": "a holiday"}, "", "user:ada"
    )
    assert flags.current().find("new-ui").targeting == targeting["if"][2]


def test_who_is_always_late_is_told(log: Interrupted) -> None:
    flags = Flags(log, "shop")
    shares = iter(range(1, 99))
    log.meanwhile = [
        lambda: flags.roll_out("new-ui", {"on": next(shares)}, "again") for _ in range(10)
    ]
    with pytest.raises(Conflict) as told:
        start(log)
    assert told.value.reference == "tests-changed-meanwhile"


def test_events_read_back_as_they_were(log: Interrupted) -> None:
    run = start(log)
    found = Register(log, "shop", Flags(log, "shop")).runs().find("checkout")
    assert found == run
    assert found.declaration == DECLARED


def test_a_protected_flag_is_changed_by_those_who_approve(log: Interrupted) -> None:
    flags = Flags(log, "shop")
    run = start(log)
    flags.protect("new-ui", 1, "it earns money")
    with pytest.raises(Conflict):
        start(log)
    ended = {"reason": "it is", "verdict": "pass", "winner": "new", "found": {}, "run": run.id}
    Register(log, "shop", flags).end(run.name, runs.DECIDED, ended, "new", "user:ada")
    now = flags.current()
    assert now.find("new-ui") == Flag("new-ui", True, {"on": True, "off": False}, "off")
    assert flags.history("new-ui")[0].forced
    with pytest.raises(Refused) as protected:
        start(log, replace(DECLARED, name="again"))
    assert protected.value.reference == "test-flag-protected"
