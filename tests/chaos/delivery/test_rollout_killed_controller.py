"""kill -9 of the controller, or of the command, at every step that a rollout takes.

Which steps there are is recorded from an undisturbed rollout of the same story. Each disturbed one
is taken up by a new controller and must end as the undisturbed one did: with the same outcome,
every event once, every look numbered, the gateway as decided, and nobody the worse for it.
In a plain run of the suite some of the steps have their turn, see `tests.support.sampling`.
"""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.delivery import alive
from tests.support.rollout_lab import PATIENT, QUICK, Errand, Lab, Weights, laboratory, signalled
from tests.support.rollouts import Answered, Traffic
from tests.support.sampling import some
from triune.core.config import slug
from triune.core.waiting import wait_until
from triune.delivery.rollout.model import Ticket
from triune.delivery.state import Colour, Outcome, Phase, process_name
from triune.ledger.envelope import Event

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("rollout-kills"),
]

SIDE_BY_SIDE = 6
KILLS = 6
RATE = 40.0
COMMAND = ("recorded:1", "saving-starting:1", "saved-starting:1")
"""The steps of the command that begins a rollout."""
LOOKS = ("rollout.looked", "rollout.compared")


def nothing(lab: Lab, ticket: Ticket) -> None:
    """Nobody does anything."""


def completed(lab: Lab, ticket: Ticket) -> None:
    """The rollback window is ended, as the guard does."""
    await_phase(lab, ticket, Phase.WATCHING)
    with lab.store.locked(ticket.endpoint, patience=60):
        pass  # whoever is at work on the endpoint is done
    lab.delivery.complete(ticket.endpoint, "the test is content", actor="user:test")


def regretted(lab: Lab, ticket: Ticket) -> None:
    """A person aborts within the rollback window, through Temporal."""
    await_phase(lab, ticket, Phase.WATCHING)
    asyncio.run(signalled(lab, ticket, "abort", "user:ada", "customers call"))


def answered(lab: Lab, ticket: Ticket) -> None:
    """A person is asked, resumes, and then has enough."""

    def asked() -> bool:
        return lab.conductor.records.gates(ticket.endpoint, ticket.rollout).paused is not None

    wait_until(asked, timeout=180, what="a person is asked", longest_pause=0.02)
    lab.rollouts.resume(ticket.endpoint, "it was the network", actor="user:ada")
    looks = lab.record(ticket.endpoint).progress.looks
    wait_until(
        lambda: lab.record(ticket.endpoint).progress.looks > looks + 2,
        timeout=180,
        what="it goes on",
    )
    lab.rollouts.abort(ticket.endpoint, "it was not", actor="user:ada")


def await_phase(lab: Lab, ticket: Ticket, phase: Phase) -> None:
    wait_until(
        lambda: lab.conductor.where(ticket).phase is phase,
        timeout=180,
        what=f"{ticket} is {phase.value}",
        longest_pause=0.02,
    )


@dataclass(frozen=True)
class Story:
    """``since``: the first step that the stories before have not had; ``until``: the last one
    that is always taken by the controller; ``phases``: those that are entered in between."""

    name: str
    table: str
    outcome: Outcome
    phases: str
    people: Callable[[Lab, Ticket], None] = nothing
    behaviour: str = "ok"
    since: str = ""
    until: str = ""
    live: bool = True

    def endpoint(self, number: int) -> str:
        return f"{self.name}/{number}"


SHADOWED = QUICK + "shadow_pairs = 10\nshadow_failures = 0.2\n"
ASKING = PATIENT.replace(
    'metrics = [{ name = "errors" }]',
    'metrics = [{ name = "errors", mode = "pause" }, { name = "timeouts" }]\nhard_stop_share = 1.0',
)
"""Without the hard stop: a tick lasts as long as nobody is there to look."""

STORIES = (
    Story(
        "promoted",
        QUICK,
        Outcome.PROMOTED,
        "starting warming smoking canary switching watching",
        people=completed,
    ),
    Story(
        "bad",
        PATIENT,
        Outcome.ROLLED_BACK,
        "canary withdrawing retiring serving",
        behaviour="fails-40",
        since="saving-canary:1",
    ),
    Story(
        "shadowed",
        SHADOWED,
        Outcome.PROMOTED,
        "shadowing canary switching watching",
        people=completed,
        since="smoked:1",
    ),
    Story(
        "regretted",
        QUICK,
        Outcome.ROLLED_BACK,
        "rolling-back retiring serving",
        people=regretted,
        since="saving-rolling-back:1",
    ),
    Story(
        "asked",
        ASKING,
        Outcome.ROLLED_BACK,
        "",
        people=answered,
        behaviour="fails-40",
        since="kept-ask:1",
        until="gate-saved:1",
    ),
    Story(
        "unfit",
        QUICK,
        Outcome.REFUSED,
        "refusing serving",
        behaviour="error",
        since="saving-refusing:1",
    ),
    Story(
        "first",
        QUICK,
        Outcome.REFUSED,
        "refusing empty",
        behaviour="error",
        since="saving-refusing:1",
        live=False,
    ),
)


@dataclass(frozen=True)
class Played:
    """A rollout that has ended, and all that was seen of it."""

    ticket: Ticket
    release: str
    outcome: str
    steps: Sequence[str]
    events: Sequence[Event]
    weights: Sequence[tuple[str, int]]
    answers: Sequence[Answered]

    @property
    def kinds(self) -> Counter[str]:
        return Counter(event.kind for event in self.events if event.kind not in LOOKS)


class Play:
    """Plays a story at one endpoint, again and again."""

    def __init__(self, lab: Lab, story: Story, endpoint: str) -> None:
        self.lab, self.story, self.endpoint = lab, story, endpoint
        self._number = 0
        self._children: list[int] = []
        if story.live:
            self._send()
            first = lab.start(endpoint, self._release("ok"))
            assert lab.await_outcome(first) == Outcome.PROMOTED.value
            self._kill_children()

    def _send(self, *, die: str = "", release: str = "") -> int:
        self._children.append(self.lab.send(Errand(self.endpoint, die=die, release=release)))
        return self._children[-1]

    def _kill_children(self) -> None:
        while self._children:
            self.lab.kill_child(self._children.pop())

    def _release(self, behaviour: str) -> str:
        self._number += 1
        model = f"delay@{slug(self.endpoint)}-{self._number}"
        return self.lab.release(model, behaviour, self.endpoint)

    def __call__(self, die: str = "", moments: Sequence[float] = ()) -> Played:
        """One rollout; at the step ``die`` its controller or command kills itself, and a new
        controller takes over. With ``moments`` each controller is killed so many seconds after
        it began, as long as the candidate has users."""
        try:
            return self._play(die, moments)
        finally:
            self._kill_children()

    def _play(self, die: str, moments: Sequence[float]) -> Played:
        lab, endpoint = self.lab, self.endpoint
        release, told = self._release(self.story.behaviour), len(lab.steps(endpoint))
        with Traffic(lab, RATE if self.story.live else 0.1, endpoint=endpoint) as traffic:
            with Weights(lab, endpoint) as weights:
                command = die if die in COMMAND else ""
                lab.await_death(self._send(release=release, die=command))
                ticket = Ticket(endpoint, lab.record(endpoint).rollout)
                self._drive(ticket, "" if command else die, moments)
                outcome = lab.await_outcome(ticket)
            assert lab.agrees(endpoint)
            wait_until(lambda: self._told(ticket), timeout=120, what=f"{ticket} is told")
        return Played(
            ticket=ticket,
            release=release,
            outcome=outcome,
            steps=lab.steps(endpoint)[told:],
            events=lab.happened(ticket),
            weights=weights.seen,
            answers=traffic.answers,
        )

    def _drive(self, ticket: Ticket, die: str, moments: Sequence[float]) -> None:
        controller = self._send(die=die)
        with ThreadPoolExecutor(1) as people:
            does = people.submit(self._people, ticket)
            if die:
                self.lab.await_death(controller)
                assert self.lab.steps(self.endpoint)[-1] == die
                controller = self._send()
            for moment in moments:
                controller = self._replace(ticket, controller, moment)
            does.result()
        assert alive(controller)

    def _replace(self, ticket: Ticket, controller: int, moment: float) -> int:
        """Let a controller live for a moment of the canary, then kill it and send another."""
        lab, canary = self.lab, (Phase.CANARY, Phase.WATCHING, None)
        lab.await_phase(ticket, *canary)
        over, end = False, time.monotonic() + moment
        while not over and time.monotonic() < end:
            over = lab.conductor.where(ticket).phase is not Phase.CANARY
            time.sleep(0.01)
        lab.kill_child(controller)
        return self._send()

    def _people(self, ticket: Ticket) -> None:
        if self.lab.store.load(self.endpoint).pending is not None:  # else it never began
            self.story.people(self.lab, ticket)

    def last_looks(self) -> list[str]:
        """What the endpoint's latest looks decided, and why."""
        ticket = Ticket(self.endpoint, self.lab.record(self.endpoint).rollout)
        looks = [e for e in self.lab.happened(ticket) if e.kind == "rollout.looked"]
        keys = ("number", "verdict", "action", "reason", "culprits", "reading", "metrics")
        return [str({key: look.payload[key] for key in keys}) for look in looks[-3:]]

    def _told(self, ticket: Ticket) -> bool:
        return any(e.kind == "rollout.finished" for e in self.lab.happened(ticket))


def places_to_die(story: Story, played: Played) -> list[str]:
    """Each step of the story once; of looks that only wait, one."""
    waits = ("kept-hold", "told-hold", "kept-comparison", "told-comparison")
    steps = [s for s in dict.fromkeys(played.steps) if s.endswith(":1") or not s.startswith(waits)]
    first = steps.index(story.since) if story.since else 0
    return steps[first : steps.index(story.until) + 1 if story.until else None]


def entered(steps: Sequence[str]) -> set[str]:
    """The phases that these steps save."""
    names = [step.partition(":")[0] for step in steps]
    return {name.removeprefix("saved-") for name in names if name.startswith("saved-")}


def check(story: Story, lab: Lab, whole: Played, played: Played, die: str) -> None:
    """The disturbed rollout is as good as the whole one."""
    never_begun = die in COMMAND[:2]
    expected = Counter({"rollout.finished": 1}) if never_begun else whole.kinds
    assert played.outcome == ("never-begun" if never_begun else whole.outcome)
    assert played.kinds == expected
    numbers = [e.payload["number"] for e in played.events if e.kind == "rollout.looked"]
    assert numbers == list(range(1, len(numbers) + 1))
    check_weights(played)
    check_users(story, played)
    now = lab.store.load(played.ticket.endpoint)
    assert now.pending is None
    for colour in Colour:
        runs = lab.processes.pid(process_name(now.endpoint, colour)) is not None
        assert runs == (now.live is not None and now.live.colour is colour)


def check_weights(played: Played) -> None:
    """The share rose step by step, and nothing was taken twice."""
    told = [e.payload["weight"] for e in played.events if e.kind == "rollout.stepped"]
    seen = [weight for phase, weight in played.weights if phase == Phase.CANARY.value]
    assert all(before < after for before, after in pairwise([w for w in seen if w]))
    assert told == sorted(set(told))
    assert {weight for weight in seen if weight} <= set(told)


def check_users(story: Story, played: Played) -> None:
    """Only the candidate itself ever failed anybody, and nobody was moved to and fro."""
    if not story.live:
        return
    failed = [a for a in played.answers if a.status != 200]
    mine = [a for a in failed if a.status == 500 and a.release == played.release]
    assert failed == mine, [a for a in failed if a not in mine]
    assert bool(failed) <= (story.behaviour != "ok")
    paths: dict[str, list[bool]] = {}
    for answer in played.answers:
        path = paths.setdefault(answer.unit, [])
        if not path or path[-1] != (answer.release == played.release):
            path.append(answer.release == played.release)
    allowed = [[False], [True], [False, True]]
    if story.outcome is not Outcome.PROMOTED:
        allowed += [[False, True, False], [True, False]]
    assert all(path in allowed for path in paths.values())


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_killed_at_any_step_it_ends_as_if_undisturbed(story: Story, tmp_path: Path) -> None:
    endpoints = [story.endpoint(number) for number in range(SIDE_BY_SIDE)]
    with laboratory(tmp_path, dict.fromkeys(endpoints, story.table)) as lab:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            plays = list(pool.map(lambda endpoint: Play(lab, story, endpoint), endpoints))
            whole = plays[0]()
            assert whole.outcome == story.outcome.value
            check(story, lab, whole, whole, "")
            steps = places_to_die(story, whole)
            assert entered(steps) == set(story.phases.split())
            steps = some(steps, KILLS)

            def kill(number: int) -> list[str]:
                """Every so many-th step is this endpoint's; returns what went wrong."""
                return [
                    wrong
                    for die in steps[number::SIDE_BY_SIDE]
                    if (wrong := disturbed(plays[number], whole, die))
                ]

            wrong = [one for many in pool.map(kill, range(SIDE_BY_SIDE)) for one in many]
        assert not wrong, f"{len(wrong)} of {len(steps)}:\n" + "\n".join(wrong)


def disturbed(play: Play, whole: Played, die: str) -> str:
    """Play with a kill; what went wrong in words, nothing when nothing did."""
    try:
        check(play.story, play.lab, whole, play(die), die)
    except Exception:
        where = traceback.format_exc(limit=3)
        looks = "\n".join(play.last_looks())
        return f"killed at {die}: {where}\n{looks}\n{play.lab.log_of(play.endpoint)}"
    return ""


@pytest.mark.parametrize("story", STORIES[:2], ids=lambda story: story.name)
def test_killed_again_and_again_at_any_moment_of_a_canary(story: Story, tmp_path: Path) -> None:
    draw = random.Random(story.name)
    with laboratory(tmp_path, {story.endpoint(0): story.table}) as lab:
        play = Play(lab, story, story.endpoint(0))
        whole = play()
        played = play(moments=[draw.uniform(0.3, 2.5) for _ in range(6)])
        check(story, lab, whole, played, "")


def test_every_phase_is_entered_in_some_story() -> None:
    assert {phase for story in STORIES for phase in story.phases.split()} == set(Phase)
