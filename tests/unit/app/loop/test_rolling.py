"""A step of the loop follows its rollout to the end, and keeps what it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from triune.app.loop import rolling
from triune.core.errors import Conflict, NotFound, Unavailable
from triune.core.rollout_config import Strategy
from triune.delivery.rollout.model import Ticket
from triune.delivery.rollout.service import Rollouts
from triune.delivery.rollout.view import RolloutView

ENDPOINT, RELEASE = "shop/late", "release:shop-late@aaaaaaaaaaaa"


def view(phase: str, *, weight: float = 0.0, outcome: str = "", **changed: Any) -> RolloutView:
    names = dict.fromkeys(RolloutView.__dataclass_fields__)
    known = {
        "endpoint": ENDPOINT, "rollout": "one", "release": RELEASE, "stable": "b",
        "strategy": Strategy.CANARY, "actor": rolling.ACTOR, "started": 5.0, "phase": phase,
        "sentence": f"It is {phase}.", "outcome": outcome, "why": {}, "weight": weight,
        "exposed": 10, "exposed_errors": 0, "looks": 3, "gaps": 0, "verdict": "pass",
        "reason": "no metric shows harm", "e": 0.5, "needed": 100.0, "metrics": (),
    }  # fmt: skip
    return RolloutView(**{**names, **known, **changed})  # type: ignore[arg-type]


@dataclass
class Scripted:
    """Rollouts that go as they are told; the last view stays."""

    views: Sequence[RolloutView]
    conflict: str = ""
    aborted: list[str] = field(default_factory=list)
    begun: list[tuple[str, str, Strategy, str]] = field(default_factory=list)
    _left: Iterator[RolloutView] | None = None

    def start(self, endpoint: str, ref: str, *, strategy: Strategy, actor: str) -> Ticket:
        if self.conflict:
            raise Conflict(self.conflict, "no")
        self.begun.append((endpoint, ref, strategy, actor))
        return Ticket(endpoint, "one")

    def view(self, endpoint: str, rollout: str | None = None) -> RolloutView:
        if not self.views:
            raise NotFound("rollout-none", f"{endpoint} {rollout}")
        self._left = self._left or iter(self.views)
        return next(self._left, self.views[-1])

    def abort(self, endpoint: str, reason: str, *, actor: str) -> RolloutView:
        self.aborted.append(f"{endpoint} {actor}: {reason}")
        self.views = [replace(self.views[-1], phase="over", outcome="refused")]
        self._left = None
        return self.views[0]

    def users(self, seen: RolloutView) -> int:
        return 7 if seen.outcome else 0


def roll(script: Scripted) -> tuple[dict[str, Any], list[str]]:
    notes: list[str] = []
    rollouts = cast("Rollouts", script)
    facts = rolling.roll_out(rollouts, ENDPOINT, RELEASE, Strategy.CANARY, notes.append)
    return facts, notes


def test_every_phase_and_step_is_noted_once() -> None:
    script = Scripted(
        [
            view("starting"),
            view("starting"),
            view("canary"),
            view("canary", weight=10.0),
            view("canary", weight=10.0),
            view("canary", weight=50.0),
            view("over", outcome="promoted"),
        ]
    )
    facts, notes = roll(script)
    assert notes == [
        "It is starting.",
        "It is canary.",
        f"10 % of the units reach {RELEASE}",
        f"50 % of the units reach {RELEASE}",
        "promoted: no metric shows harm",
    ]
    assert script.begun == [(ENDPOINT, RELEASE, Strategy.CANARY, rolling.ACTOR)]
    assert facts["outcome"] == "promoted"
    assert (facts["users"], facts["began"], facts["looks"]) == (7, 5.0, 3)
    assert facts["explained"][0].startswith(f"{RELEASE} was promoted at {ENDPOINT}")


def test_the_reason_of_an_ending_is_what_ended_it() -> None:
    why = {"test": "own", "words": "AUC 0.2"}
    facts, notes = roll(Scripted([view("over", outcome="refused", why=why)]))
    assert notes == ["refused: AUC 0.2"]
    assert (facts["reason"], facts["why"]) == ("AUC 0.2", why)


def test_a_release_that_is_live_already_needs_no_rollout() -> None:
    facts, notes = roll(Scripted([], conflict="release-already-live"))
    assert (facts["release"], facts["outcome"], notes) == (RELEASE, "promoted", [])
    with pytest.raises(Conflict, match="no"):
        roll(Scripted([], conflict="rollout-in-progress"))


def test_a_rollout_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "ROLLOUT_SECONDS", 0.05)
    with pytest.raises(Unavailable) as caught:
        roll(Scripted([view("starting")]))
    assert caught.value.reference == "wait-timed-out"


@pytest.mark.parametrize(
    ("views", "aborts"),
    [
        ([], 0),
        ([view("over", outcome="promoted")], 0),
        ([view("canary", actor="user:ada")], 0),
        ([view("canary")], 1),
    ],
)
def test_only_what_a_killed_loop_left_is_aborted(views: list[RolloutView], aborts: int) -> None:
    script, notes = Scripted(views), list[str]()
    rolling.clear_way(cast("Rollouts", script), ENDPOINT, notes.append)
    assert len(script.aborted) == len(notes) == aborts
