"""kill -9 of each process that a rollout needs, in each phase of a rollout.

For each process one round: ten endpoints are brought to ten places of a rollout and held there,
then the process is killed, the rollouts are let go, and the process is started again, as the
supervisor does. The guard runs beside, as in production.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

import psutil
import pytest

from tests.support import postgres
from tests.support.delivery import alive
from tests.support.postgres import Postgres
from tests.support.rollout_lab import PATIENT, QUICK, Errand, Lab, Weights, laboratory
from tests.support.rollouts import Answered, Traffic
from triune.core.errors import Conflict
from triune.core.waiting import wait_until
from triune.delivery.keeper import Guard
from triune.delivery.rollout.model import Ticket
from triune.delivery.state import Colour, Outcome, Phase, process_name
from triune.ledger.envelope import Event

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("rollout-matrix"),
]

SHADOWED = QUICK + "shadow_pairs = 10\nshadow_failures = 0.5\n"
LOOKS = ("rollout.looked", "rollout.compared")
GOOD = ("started", "smoked", "stepped", "stepped", "switched", "completed", "finished")
BAD = ("started", "smoked", "stepped", "rolled-back", "finished")


@dataclass(frozen=True)
class Place:
    """Where a rollout is held: the step that its controller is at, and the phase that is."""

    name: str
    phase: Phase
    step: str
    table: str = QUICK
    behaviour: str = "ok"

    @property
    def endpoint(self) -> str:
        return f"at/{self.name}"

    @property
    def good(self) -> bool:
        return self.behaviour == "ok"

    @property
    def events(self) -> Counter[str]:
        kinds = Counter(f"rollout.{name}" for name in (GOOD if self.good else BAD))
        if self.table is SHADOWED:
            kinds["rollout.shadowed"] = 1
        return kinds


PLACES = (
    Place("starting", Phase.STARTING, "starting:1"),
    Place("warming", Phase.WARMING, "warming:1"),
    Place("smoking", Phase.SMOKING, "smoking:1"),
    Place("shadowing", Phase.SHADOWING, "told-comparison:1", SHADOWED),
    Place("first-weight", Phase.CANARY, "told-hold:1"),
    Place("second-weight", Phase.CANARY, "stepped:3"),
    Place("switching", Phase.SWITCHING, "switching:1"),
    Place("watching", Phase.WATCHING, ""),
    Place("withdrawing", Phase.WITHDRAWING, "withdrawing:1", PATIENT, "fails-40"),
    Place("retiring", Phase.RETIRING, "retiring:1", PATIENT, "fails-40"),
)
DESERTED = "deserted"
VICTIMS = ("controller", "temporal", "envoy", "database")


@dataclass(frozen=True)
class Result:
    """What became of one rollout. ``down``: from when to when the killed process was away."""

    held: tuple[str, Phase]
    down: tuple[float, float]
    agreed: bool
    outcome: str
    release: str
    events: Sequence[Event]
    weights: Sequence[tuple[str, int]]
    answers: Sequence[Answered]
    left: Sequence[str]
    """Colours of which a process still runs, besides the one that serves."""


class Matrix:
    """Plays the rounds, each once, when it is first asked for."""

    def __init__(self, lab: Lab, database: Postgres) -> None:
        self.lab, self.database = lab, database
        self._rounds: dict[str, Mapping[str, Result]] = {}

    def __call__(self, victim: str, place: Place) -> Result:
        if victim not in self._rounds:
            self._rounds[victim] = Round(self.lab, self.database, victim).play()
        return self._rounds[victim][place.name]


class Round:
    """One victim, all places."""

    def __init__(self, lab: Lab, database: Postgres, victim: str) -> None:
        self._lab, self._database, self._victim = lab, database, victim
        self._controllers: dict[str, int] = {}

    def play(self) -> Mapping[str, Result]:
        lab = self._lab
        with ExitStack() as stack:
            stack.callback(self._end)
            traffic = {
                place: stack.enter_context(Traffic(lab, _rate(place), endpoint=place.endpoint))
                for place in PLACES
            }
            weights = {p: stack.enter_context(Weights(lab, p.endpoint)) for p in PLACES}
            releases = {place: self._candidate(place) for place in PLACES}
            tickets = {p: lab.start(p.endpoint, release) for p, release in releases.items()}
            held = {place: self._await_place(place, tickets[place]) for place in PLACES}
            down = self._kill()
            agreed = self._agree()
            with ThreadPoolExecutor(len(PLACES)) as pool:
                ends = pool.map(self._see, PLACES, tickets.values())
                outcomes = dict(zip(PLACES, ends, strict=True))
            stack.close()
        return {
            place.name: Result(
                held=held[place],
                down=down,
                agreed=agreed[place],
                outcome=outcomes[place],
                release=releases[place],
                events=lab.happened(tickets[place]),
                weights=weights[place].seen,
                answers=traffic[place].answers,
                left=_left(lab, place.endpoint),
            )
            for place in PLACES
        }

    def _candidate(self, place: Place) -> str:
        """A new release, and a controller that will hold its rollout."""
        hold = (place.step,) if place.step else ()
        self._controllers[place.endpoint] = self._lab.send(Errand(place.endpoint, hold=hold))
        model = f"delay@{place.name}-{self._victim}"
        return self._lab.release(model, place.behaviour, place.endpoint)

    def _await_place(self, place: Place, ticket: Ticket) -> tuple[str, Phase]:
        lab = self._lab

        def there() -> bool:
            if place.step:
                return lab.held(place.endpoint) == place.step
            return lab.conductor.where(ticket).phase is place.phase

        wait_until(there, timeout=180, what=f"{place.name} is held", longest_pause=0.02)
        return lab.held(place.endpoint), lab.store.load(place.endpoint).phase

    def _kill(self) -> tuple[float, float]:
        """Kill the victim, let the rollouts go, start the victim again."""
        lab, died = self._lab, time.monotonic()
        if self._victim == "controller":
            for pid in self._controllers.values():
                lab.kill_child(pid)
        elif self._victim == "database":
            kill(self._database)
        else:
            lab.processes.kill(self._victim)
        for place in PLACES:
            lab.let_go(place.endpoint)
        if self._victim == "controller":
            for place in PLACES:
                self._controllers[place.endpoint] = lab.send(Errand(place.endpoint))
        elif self._victim == "database":
            self._database.start()
        elif self._victim == "temporal":
            lab.start_temporal()
        else:
            lab.start_envoy()
        return died, time.monotonic()

    def _agree(self) -> Mapping[Place, bool]:
        """Whether the gateway has what was decided last, within five seconds."""
        until = time.monotonic() + 5.0
        found = dict.fromkeys(PLACES, False)
        while not all(found.values()) and time.monotonic() < until:
            for place in PLACES:
                found[place] = found[place] or self._lab.agrees(place.endpoint)
        return found

    def _see(self, place: Place, ticket: Ticket) -> str:
        """The rollout's end; the window of a promoted one is ended, as the guard does."""
        lab = self._lab
        if place.good:
            wait_until(
                lambda: lab.conductor.where(ticket).phase in (Phase.WATCHING, None),
                timeout=180,
                what=f"{place.name} is promoted: {lab.log_of(place.endpoint)}",
                longest_pause=0.05,
            )
            wait_until(
                lambda: _completed(lab, place.endpoint), timeout=180, what=f"{place.name} completes"
            )
        outcome = lab.await_outcome(ticket)
        wait_until(
            lambda: any(e.kind == "rollout.finished" for e in lab.happened(ticket)),
            timeout=120,
            what=f"{place.name} is told",
        )
        return outcome

    def _end(self) -> None:
        for pid in self._controllers.values():
            self._lab.kill_child(pid)
        for place in PLACES:
            self._lab.let_go(place.endpoint)


def kill(database: Postgres) -> None:
    """kill -9 of the server; its children end by themselves, and a new one cannot start before."""
    assert database.process is not None
    children = psutil.Process(database.process.pid).children(recursive=True)
    database.stop(signal.SIGKILL)
    wait_until(lambda: not any(alive(c.pid) for c in children), timeout=60, what="they end")


def _rate(place: Place) -> float:
    return 20.0 if place.good else 50.0


def _completed(lab: Lab, endpoint: str) -> bool:
    if lab.store.load(endpoint).previous is not None:
        try:
            lab.delivery.complete(endpoint, "the test is content", actor="user:test")
        except Conflict:
            return False  # the guard or the controller is at work on it
    return True


def _left(lab: Lab, endpoint: str) -> list[str]:
    live = lab.store.load(endpoint).live
    colours = [c for c in Colour if lab.processes.pid(process_name(endpoint, c)) is not None]
    return [colour.value for colour in colours if live is None or colour is not live.colour]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("matrix")
    tables = {place.endpoint: place.table for place in PLACES} | {DESERTED: QUICK}
    stop = threading.Event()
    with (
        postgres.running() as database,
        laboratory(folder, tables, database=database.fresh_database("lab")) as lab,
    ):
        guard = Guard(lab.delivery, print)
        thread = threading.Thread(target=guard.run, args=(stop,))
        thread.start()
        try:
            _first_releases(lab)
            yield Matrix(lab, database)
        finally:
            stop.set()
            thread.join()


def _first_releases(lab: Lab) -> None:
    def serve(place: Place) -> None:
        release = lab.release(f"delay@{place.name}-first", endpoint=place.endpoint)
        lab.delivery.start(place.endpoint, release)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(serve, PLACES))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_changes_nothing_for_a_rollout(
    matrix: Matrix, victim: str, place: Place
) -> None:
    result = matrix(victim, place)
    assert result.held == (place.step, place.phase)
    assert result.agreed
    assert result.outcome == (Outcome.PROMOTED if place.good else Outcome.ROLLED_BACK).value
    assert Counter(e.kind for e in result.events if e.kind not in LOOKS) == place.events
    numbers = [e.payload["number"] for e in result.events if e.kind == "rollout.looked"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert result.left == []
    rising = [weight for phase, weight in result.weights if phase == Phase.CANARY.value]
    assert all(before < after for before, after in pairwise(rising))
    assert unexplained(victim, result) == []


def unexplained(victim: str, result: Result) -> list[Answered]:
    """Failed requests that neither the candidate itself answered nor the dead gateway could."""
    died, back = result.down
    return [
        answer
        for answer in result.answers
        if answer.status != 200
        and not (answer.status == 500 and answer.release == result.release)
        and not (victim == "envoy" and answer.status == 0 and died <= answer.at <= back + 0.2)
    ]


def test_with_everything_dead_a_person_takes_all_users_off_a_candidate(matrix: Matrix) -> None:
    """Controller, Temporal and the ledger's database are dead; the command is a new process."""
    lab = matrix.lab
    stable = lab.serve(DESERTED)
    with Traffic(lab, 40, endpoint=DESERTED) as traffic:
        with lab.driven(DESERTED, hold=("told-hold:1",)):
            ticket = lab.start(DESERTED, lab.candidate(DESERTED))
            lab.await_held(DESERTED, "told-hold:1")
        lab.processes.kill("temporal")
        kill(matrix.database)
        lab.await_death(lab.send(Errand(DESERTED, abort="customers call")))
        now = lab.store.load(DESERTED)
        assert now.pending is None
        assert now.live is not None
        assert now.live.release == stable
        assert lab.routed(DESERTED) == {now.live.upstream: 10_000}
        assert lab.others(DESERTED) == []
        matrix.database.start()
        lab.start_temporal()
        with lab.driven(DESERTED):
            assert lab.settle(ticket) == Outcome.ROLLED_BACK.value
    back = lab.await_told(ticket, "rollout.rolled-back")
    assert (back.actor, back.payload["reason"]) == ("user:test", "customers call")
    kinds = Counter(event.kind for event in lab.happened(ticket) if event.kind not in LOOKS)
    assert kinds["rollout.gated"] == 1
    assert kinds == Counter([f"rollout.{name}" for name in (*BAD, "gated")])
    assert traffic.failed() == []
