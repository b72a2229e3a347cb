"""The human gates in every phase: pause and resume, promote, abort; abort also with all else dead.

Each case has an endpoint of its own whose rollout is held at its place while the gate is used.
They run side by side, a few at a time, when the first of the tests asks for its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum

import pytest

from tests.support.rollout_lab import QUICK, Errand, Lab, Weights, laboratory
from tests.support.rollouts import Answered, Traffic
from triune.core.waiting import wait_until
from triune.delivery.rollout.model import Ticket
from triune.delivery.state import BEFORE_TRAFFIC, Outcome, Phase
from triune.ledger.envelope import Event

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("rollout-gates"),
]

SHADOWED = QUICK + "shadow_pairs = 10\nshadow_failures = 0.5\n"
RATE = 20.0
BY, WHY = "user:ada", "customers call"


class Gate(StrEnum):
    """What a person does."""

    PAUSE = "pause"
    PROMOTE = "promote"
    ABORT = "abort"


@dataclass(frozen=True)
class Case:
    """A gate used in a phase, in which the controller is held at a step. ``alone``: the
    controller and Temporal are dead by then."""

    gate: Gate
    phase: Phase
    step: str
    alone: bool = False

    @property
    def endpoint(self) -> str:
        return f"{self.gate.value}{'-alone' if self.alone else ''}/{self.phase.value}"

    @property
    def table(self) -> str:
        return SHADOWED if self.phase is Phase.SHADOWING else QUICK

    @property
    def outcome(self) -> Outcome:
        if self.gate is not Gate.ABORT:
            return Outcome.PROMOTED
        return Outcome.REFUSED if self.phase in BEFORE_TRAFFIC else Outcome.ROLLED_BACK


PLACES = (
    (Phase.STARTING, "starting:1"),
    (Phase.WARMING, "warming:1"),
    (Phase.SMOKING, "smoking:1"),
    (Phase.SHADOWING, "told-comparison:1"),
    (Phase.CANARY, "told-hold:1"),
)
LATER = ((Phase.SWITCHING, "switching:1"), (Phase.WATCHING, ""))
STEERED = (
    *(Case(gate, phase, step) for gate in Gate for phase, step in PLACES),
    *(Case(Gate.ABORT, phase, step) for phase, step in LATER),
)
ALONE = tuple(Case(Gate.ABORT, phase, step, alone=True) for phase, step in (*PLACES, *LATER))
TOGETHER = 6
GROUPS = tuple(
    cases[first : first + TOGETHER]
    for cases in (STEERED, ALONE)
    for first in range(0, len(cases), TOGETHER)
)


@dataclass(frozen=True)
class Result:
    """``resumed`` is when the pause ended, monotonic."""

    phase: Phase
    outcome: str
    served: str
    stable: str
    release: str
    agreed: bool
    left: Sequence[str]
    events: Sequence[Event]
    answers: Sequence[Answered]
    weights: Weights
    resumed: float

    def gated(self) -> list[tuple[str, str, str]]:
        """Gate, actor and reason, in their order."""
        return [
            (e.payload["gate"], e.actor, e.payload["reason"])
            for e in self.events
            if e.kind == "rollout.gated"
        ]


class Person:
    """One case from its beginning to its end."""

    def __init__(self, lab: Lab, case: Case) -> None:
        self.lab, self.case = lab, case
        self.stable = lab.serve(case.endpoint)
        self.release = lab.candidate(case.endpoint)
        hold = (case.step,) if case.step else ()
        self.controller = lab.send(Errand(case.endpoint, hold=hold))
        self.traffic = Traffic(lab, RATE, endpoint=case.endpoint)
        self.weights = Weights(lab, case.endpoint)
        self.phase = Phase.EMPTY
        self.resumed = 0.0
        self.ticket = Ticket("", "")

    def leave(self) -> None:
        """Nothing of the case goes on."""
        self.lab.kill_child(self.controller)

    def reach(self) -> None:
        """The rollout is at its place."""
        self.ticket = self.lab.start(self.case.endpoint, self.release)
        if self.case.step:
            self.lab.await_held(self.case.endpoint, self.case.step)
        else:
            self.lab.await_phase(self.ticket, self.case.phase)
        self.phase = self.lab.store.load(self.case.endpoint).phase

    def act(self) -> None:
        """Use the gate; the controller is let go once it is durable."""
        lab, endpoint, gates = self.lab, self.case.endpoint, self.lab.rollouts
        match self.case.gate:
            case Gate.PAUSE:
                gates.pause(endpoint, WHY, actor=BY)
                lab.let_go(endpoint)
                self._stay()
                self.resumed = time.monotonic()
                gates.resume(endpoint, "it was nothing", actor=BY)
            case Gate.PROMOTE:
                gates.promote(endpoint, WHY, actor=BY)
                lab.let_go(endpoint)
            case Gate.ABORT:
                self._abort()

    def _abort(self) -> None:
        lab, endpoint = self.lab, self.case.endpoint
        with ThreadPoolExecutor(1) as pool:
            aborting = pool.submit(lab.rollouts.abort, endpoint, WHY, actor=BY)
            if self.phase in BEFORE_TRAFFIC | {Phase.CANARY, Phase.SHADOWING}:
                wait_until(self._aborted, timeout=30, what="the gate is durable")
            lab.let_go(endpoint)
            aborting.result()

    def _aborted(self) -> bool:
        gates = self.lab.conductor.records.gates(self.case.endpoint, self.ticket.rollout)
        return gates.abort is not None

    def _stay(self) -> None:
        """The rollout goes on with what users do not see, and then with looking, but no further."""
        lab = self.lab
        if self.phase is Phase.CANARY:
            lab.looked(self.ticket)
        elif self.phase is Phase.SHADOWING:
            told = len(lab.steps(self.case.endpoint))
            wait_until(
                lambda: len(lab.steps(self.case.endpoint)) > told + 10, timeout=60, what="compared"
            )
        else:
            lab.await_phase(self.ticket, Phase.SMOKING, Phase.CANARY)

    def result(self) -> Result:
        """How it ended."""
        lab, endpoint = self.lab, self.case.endpoint
        outcome = lab.settle(self.ticket)
        live = lab.store.load(endpoint).live
        return Result(
            phase=self.phase,
            outcome=outcome,
            served=live.release if live else "",
            stable=self.stable,
            release=self.release,
            agreed=lab.agrees(endpoint),
            left=lab.others(endpoint),
            events=lab.happened(self.ticket),
            answers=self.traffic.answers,
            weights=self.weights,
            resumed=self.resumed,
        )


def played(lab: Lab, cases: Sequence[Case]) -> Mapping[Case, Result]:
    """All cases side by side; before the gates of those that are alone everything is killed."""
    with ExitStack() as stack, ThreadPoolExecutor(len(cases)) as pool:
        people = list(pool.map(lambda case: Person(lab, case), cases))
        for person in people:
            stack.callback(person.leave)
            stack.enter_context(person.traffic)
            stack.enter_context(person.weights)
        list(pool.map(Person.reach, people))
        if any(case.alone for case in cases):
            abandon(lab, people)
        list(pool.map(Person.act, people))
        if any(case.alone for case in cases):
            check_abandoned(lab, people)
            lab.start_temporal()
            for person in people:
                person.controller = lab.send(Errand(person.case.endpoint))
        results = list(pool.map(Person.result, people))
    return dict(zip(cases, results, strict=True))


def abandon(lab: Lab, people: Sequence[Person]) -> None:
    """kill -9 of the controllers and of Temporal."""
    lab.processes.kill("temporal")
    for person in people:
        lab.kill_child(person.controller)


def check_abandoned(lab: Lab, people: Sequence[Person]) -> None:
    """Nobody but the person who aborted has done anything, and all users are on stable."""
    for person in people:
        now = lab.store.load(person.case.endpoint)
        assert now.pending is None
        assert now.live is not None
        assert now.live.release == person.stable
        assert lab.routed(person.case.endpoint) == {now.live.upstream: 10_000}


class Played:
    """The results of all groups, each played once, whether that went well or not."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._groups: dict[tuple[Case, ...], Mapping[Case, Result] | Exception] = {}

    def __call__(self, case: Case) -> Result:
        (group,) = [cases for cases in GROUPS if case in cases]
        if group not in self._groups:
            self._groups[group] = self._play(group)
        results = self._groups[group]
        if isinstance(results, Exception):
            raise results
        return results[case]

    def _play(self, group: tuple[Case, ...]) -> Mapping[Case, Result] | Exception:
        try:
            return played(self._lab, group)
        except Exception as error:
            return error


@pytest.fixture(scope="module")
def played_case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    tables = {case.endpoint: case.table for case in (*STEERED, *ALONE)}
    with laboratory(tmp_path_factory.mktemp("gates"), tables) as lab:
        yield Played(lab)


@pytest.mark.parametrize("case", (*STEERED, *ALONE), ids=lambda case: case.endpoint)
def test_a_gate_in_any_phase(played_case: Played, case: Case) -> None:
    result = played_case(case)
    assert result.phase is case.phase
    assert result.outcome == case.outcome.value
    assert result.served == (result.stable if case.gate is Gate.ABORT else result.release)
    assert result.agreed
    assert result.left == []
    assert [answer for answer in result.answers if answer.status != 200] == []
    kinds = Counter(event.kind for event in result.events)
    kinds -= Counter({"rollout.looked": 10**6, "rollout.compared": 10**6, "rollout.stepped": 10**6})
    assert set(kinds.values()) <= ({1, 2} if case.gate is Gate.PAUSE else {1})
    assert_recorded(case, result)
    if case.gate is Gate.PAUSE:
        assert_nobody_moved(case, result)


def assert_recorded(case: Case, result: Result) -> None:
    """The gate is in the ledger, or the way back itself where there is no gate any more."""
    wish = (case.gate.value, BY, WHY)
    if case.gate is Gate.PAUSE:
        assert result.gated() == [wish, ("resume", BY, "it was nothing")]
    elif case.phase not in (Phase.SWITCHING, Phase.WATCHING):
        assert result.gated() == [wish]
    if case.outcome is Outcome.ROLLED_BACK:
        (back,) = [e for e in result.events if e.kind == "rollout.rolled-back"]
        assert (back.actor, back.payload["reason"]) == (BY, WHY)


def assert_nobody_moved(case: Case, result: Result) -> None:
    """While it was paused the share did not rise."""
    seen = zip(result.weights.at, result.weights.seen, strict=True)
    before = [weight for at, (_, weight) in seen if at < result.resumed]
    assert max(before) == (2000 if case.phase is Phase.CANARY else 0)
