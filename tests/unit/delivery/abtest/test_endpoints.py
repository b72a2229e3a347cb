"""A test of two releases: a rollout whose share is kept, until the test ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.delivery import registered
from tests.support.tabletop import CANARY, ENDPOINT, NOWHERE, Tabletop
from triune.app.tests_daemon import Keeper
from triune.core.abtest_config import Promotion
from triune.core.clock import SystemClock
from triune.core.errors import ConfigError, Conflict, Refused
from triune.core.ids import new_id
from triune.delivery.abtest.cell import CellKey
from triune.delivery.abtest.declaring import of_versions
from triune.delivery.abtest.endpoints import Endpoints
from triune.delivery.abtest.model import Declaration
from triune.delivery.abtest.runs import Run
from triune.delivery.abtest.service import ABTests
from triune.delivery.flags.service import Flags
from triune.delivery.rollout.model import Ticket
from triune.delivery.state import Arm, Colour, EndpointState, Phase
from triune.ledger.envelope import Event, event
from triune.ledger.ports import Query
from triune.ledger.service import Ledger

DECLARED = of_versions(ENDPOINT, 3, 4, outcome="late")


class Table(Tabletop):
    """An endpoint that serves version 3, and the tests of its workspace."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, CANARY, live=False)
        self.log = Ledger.open(f"sqlite:///{root}/ledger.db", root / "journal", workspace="table")  # type: ignore[assignment]
        self.take_up()
        for number in (3, 4):
            self.models.add(f"delay@{number}")
            self.log.record([registered(f"delay@{number}")])
        serving = self.tools.releases.create(ENDPOINT, "delay@3").ref
        self.serve(serving)

    def serve(self, release: str) -> None:
        arm = Arm(release, Colour.GREEN, NOWHERE, "arm-flights-delay-green")
        self.store.save(EndpointState(ENDPOINT, live=arm))
        self.tools.routing.publish()

    @property
    def tests(self) -> ABTests:
        ledger: Ledger = self.log  # type: ignore[assignment]
        return ABTests(
            log=ledger,
            workspace="table",
            flags=Flags(ledger, "table"),
            endpoints=Endpoints(self.tools.releases, self.rollouts, lambda _: "delay"),
            folder=self.workspace.state / "tests",
            declared=dict,
            clock=SystemClock(),
        )

    def started(self, declared: Declaration = DECLARED) -> Run:
        """A test whose candidate has its units."""
        run = self.tests.start(declared, "is 4 better?", promotion=Promotion.AUTOMATIC)
        self.through(run)
        return run

    def through(self, run: Run) -> Ticket:
        ticket = Ticket(ENDPOINT, run.rollout or "")
        for phase in (Phase.WARMING, Phase.SMOKING, Phase.SHADOWING):
            self._advance(phase)
        self.conductor.enter_canary(ticket)
        self.turn(ticket)
        self.log.flush()  # type: ignore[attr-defined]
        return ticket

    def predictions(self) -> list[Event]:
        ledger: Ledger = self.log  # type: ignore[assignment]
        return [s.event for s in ledger.select(Query(kind="prediction.served"))]

    def answers(self, run: Run, units: range, late: float = 1.0) -> None:
        """Each unit is answered by its arm, 3 with 0.3 and 4 with 0.8, and is late."""
        events: list[Event] = []
        releases = {name: ref for ref, name in run.arms.items()}
        for number in units:
            variant = run.declaration.variant_of(f"N{number}") or ""
            prediction = new_id()
            about = {"endpoint": ENDPOINT, "unit": f"N{number}"}
            served = {"release": releases[variant], "arm": "stable", "duration_ms": 4.0}
            events += [
                event(
                    "prediction.served",
                    f"prediction:{prediction}",
                    workspace="table",
                    payload={**about, **served},
                    identifier=prediction,
                ),
                event(
                    "outcome.observed",
                    f"prediction:{prediction}",
                    workspace="table",
                    payload={
                        **about,
                        "name": "late",
                        "value": late,
                        "predicted": 0.8 if variant == "b" else 0.3,
                    },
                ),
            ]
        self.log.record(events)


def replace_variant(served: Event, run: Run) -> Event:
    """The same unit, answered by control afterwards."""
    control = next(ref for ref, name in run.arms.items() if name == "a")
    payload = {**served.payload, "release": control}
    return event(served.kind, f"prediction:{new_id()}", workspace="table", payload=payload)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    made = Table(tmp_path)
    yield made
    made.log.close()  # type: ignore[attr-defined]


def test_two_versions_in_one_step_and_a_share_that_stays(table: Table) -> None:
    run = table.started()
    assert table.weight == 5000
    ticket = Ticket(ENDPOINT, run.rollout or "")
    for _ in range(30):  # far beyond what a canary is promoted after
        table.look(ticket, (2000, 20), (2000, 20))
    assert table.now.phase is Phase.CANARY
    assert table.weight == 5000
    assert table.record.definition.kept


def test_answers_are_exposures_and_outcomes_join(table: Table) -> None:
    run = table.started()
    table.answers(run, range(400))
    standing = table.tests.status(run.name)
    assert standing.counts["units"] == 400
    assert standing.counts["joined"] == 400
    summary = standing.readings.cells[CellKey("squared-error", "b")].summary()
    assert summary.mean[0] == pytest.approx(0.04)
    assert standing.readings.cells[CellKey("wrong", "a")].summary().mean[0] == 1.0
    assert standing.troubles == ()
    assert table.tests.compare(standing).agrees


def test_before_the_candidate_has_its_units_nothing_counts(table: Table) -> None:
    run = table.tests.start(DECLARED, "is 4 better?")
    table.answers(run, range(50))
    standing = table.tests.status(run.name)
    assert standing.counts["units"] == 0
    assert "gets no units" in standing.troubles[0]
    table.through(run)
    table.answers(run, range(50, 60))
    assert table.tests.status(run.name).counts["units"] == 10


def test_looks_back_come_to_the_present_one(table: Table) -> None:
    run = table.started()
    table.answers(run, range(300))
    standing = table.tests.status(run.name)
    looks = table.tests.path(standing, 5)
    units = [sum(look.readings.exposed.values()) for look in looks]
    assert units == sorted(units)
    assert looks[-1].readings.cells == standing.readings.cells
    expected = table.tests.plan(replace(DECLARED, name="next", cycle_days=1.0))
    assert expected.values["squared-error"] > 0.0
    assert expected.units_a_day >= 300


def test_a_winner_gets_all_traffic(table: Table) -> None:
    run = table.started()
    table.answers(run, range(100))
    table.tests.decide(run.name, "it is", winner="b")
    table.look(Ticket(ENDPOINT, run.rollout or ""))
    live = table.now.live
    assert live is not None
    assert run.arms[live.release] == "b"
    ended = table.tests.runs().find(run.name)
    assert (ended.winner, ended.why) == ("b", "it is")
    table.tests.mend(ended)  # whoever died before may do it again


def test_a_decision_whose_command_died_is_carried_out_by_the_service(table: Table) -> None:
    run = table.started()
    table.answers(run, range(100))
    tests = table.tests
    object.__setattr__(tests, "mend", lambda run: None)  # it dies once the verdict is recorded
    tests.decide(run.name, "it is", winner="b")
    ticket = Ticket(ENDPOINT, run.rollout or "")
    table.look(ticket)
    assert table.now.phase is Phase.CANARY
    keeper = Keeper(table.tests, print)
    keeper.turn()
    keeper.turn()
    table.look(ticket)
    assert table.now.live is not None
    assert run.arms[table.now.live.release] == "b"


def test_no_test_starts_where_a_rollout_is_under_way(table: Table) -> None:
    table.order()
    with pytest.raises(Conflict) as busy:
        table.tests.start(DECLARED, "is 4 better?")
    assert busy.value.reference == "rollout-in-progress"
    assert table.tests.runs().all == ()


def test_a_stopped_test_leaves_its_candidate(table: Table) -> None:
    run = table.started()
    table.tests.stop(run.name, "a holiday")
    assert table.weight == 0
    assert table.now.live is not None
    assert run.arms[table.now.live.release] == "a"
    table.tests.mend(table.tests.runs().find(run.name))


def test_harm_rolls_back_and_the_test_says_so(table: Table) -> None:
    run = table.started()
    ticket = Ticket(ENDPOINT, run.rollout or "")
    for _ in range(20):
        if table.now.phase is Phase.CANARY:
            table.look(ticket, (900, 9), (900, 200))
    standing = table.tests.status(run.name)
    assert "rolled-back" in standing.readings.alarm
    assert "an alarm is active" in " ".join(standing.decision.lacking)


def test_units_that_went_back_with_the_candidate_are_no_hoppers(table: Table) -> None:
    run = table.started()
    table.answers(run, range(100))
    time.sleep(1.1)  # the second before the end is told does not count
    table.rollouts.abort(ENDPOINT, "customers call")
    table.log.flush()  # type: ignore[attr-defined]
    back = [replace_variant(one, run) for one in table.predictions()]
    table.log.record(back)
    standing = table.tests.status(run.name)
    assert standing.counts["hopped"] == 0
    assert standing.counts["units"] == 100
    table.tests.stop(run.name, "it was taken back")
    with pytest.raises(Refused) as gone:
        table.tests.decide(run.name, "all the same", winner="b")
    assert gone.value.reference == "test-candidate-gone"
    assert table.tests.decide(run.name, "so be it", winner="").winner is None


def test_a_start_whose_command_died_goes_on(table: Table) -> None:
    tests = table.tests
    object.__setattr__(tests, "mend", lambda run: None)  # it dies once the test is recorded
    tests.start(DECLARED, "is 4 better?")
    assert table.now.pending is None
    assert "has not begun" in table.tests.status(DECLARED.name).troubles[0]
    again = table.tests.start(DECLARED, "is 4 better?")
    assert table.now.pending is not None
    assert table.now.pending.rollout == again.rollout
    assert len(table.tests.runs().all) == 1


def test_what_cannot_be_compared_is_refused(table: Table) -> None:
    with pytest.raises(Refused, match="both variants are") as alike:
        table.tests.start(of_versions(ENDPOINT, 3, 3, outcome=None), "why not")
    assert alike.value.reference == "test-arms-alike"
    with pytest.raises(Refused) as not_live:
        table.tests.start(of_versions(ENDPOINT, 4, 3, outcome=None), "why not")
    assert not_live.value.reference == "test-control-not-live"
    with pytest.raises(ConfigError) as mistaken:
        table.tests.start(replace(DECLARED, salt="mine", eligibility={"var": "plan"}), "why not")
    assert {p.key.rpartition(".")[2] for p in mistaken.value.problems} == {"salt", "eligibility"}
    run = table.started()
    with pytest.raises(Conflict) as taken:
        table.tests.start(replace(DECLARED, name="another"), "me too")
    assert taken.value.reference == "test-endpoint-taken"
    assert run.running
