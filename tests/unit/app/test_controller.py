"""The controller's scan, which gives every rollout its workflow, and what it knows beforehand."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, cast

import pytest

from tests.support.tabletop import ENDPOINT, Tabletop
from triune.app import controller
from triune.app.controller import Scan
from triune.app.rollouts import Prior
from triune.core.errors import Refused, Unavailable
from triune.core.rollout_config import MetricName
from triune.delivery.accesslog import FAILED, SERVED
from triune.delivery.rollout.backends.temporal import Temporal
from triune.delivery.rollout.conductor import Where
from triune.delivery.rollout.model import Ticket
from triune.ledger.envelope import event
from triune.ledger.ports import Query

FEW = 50


@dataclass
class Offers:
    """Temporal, as far as the scan knows it: which rollouts it was given."""

    taken: list[str] = field(default_factory=list)
    away: bool = False

    async def ensure(self, ticket: Ticket, *, many: bool) -> None:
        if self.away:
            raise Unavailable("temporal-unreachable", f"{ticket.rollout}, {many}")
        self.taken.append(ticket.rollout)


def look(scan: Scan, offers: Offers) -> list[str]:
    """One look of the scan; the rollouts that Temporal was given by it."""
    before = len(offers.taken)

    async def run() -> None:
        await scan.look(cast("Temporal", offers))
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run(run())
    return offers.taken[before:]


@pytest.fixture
def table(tmp_path: Path) -> Tabletop:
    return Tabletop(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "RETRY_SECONDS", 0.0)


def test_a_rollout_is_offered_once_and_again_after_a_while(table: Tabletop) -> None:
    offers, ticket = Offers(), table.order()
    scan = Scan(table.records, FEW, table.conductor.conclude)
    assert look(scan, offers) == [ticket.rollout]
    assert look(scan, offers) == []
    scan.offered[ticket.rollout] -= scan.again_s
    assert look(scan, offers) == [ticket.rollout]


def test_what_temporal_did_not_take_is_offered_at_the_next_look(table: Tabletop) -> None:
    offers, ticket = Offers(away=True), table.order()
    scan = Scan(table.records, FEW, table.conductor.conclude)
    assert look(scan, offers) == []
    offers.away = False
    assert look(scan, offers) == [ticket.rollout]


def test_a_rollout_that_is_over_is_concluded_and_never_offered(table: Tabletop) -> None:
    offers, ticket = Offers(), table.begun()
    table.conductor.abort(ticket, table.wish())
    scan = Scan(table.records, FEW, table.conductor.conclude, again_s=0.0)
    for _ in range(3):
        assert look(scan, offers) == []
    assert table.record.outcome == "rolled-back"
    assert len(table.log.kinds("rollout.finished")) == 1
    assert scan.offered == {}


def test_the_next_rollout_of_an_endpoint_is_offered_too(table: Tabletop) -> None:
    offers, first = Offers(), table.begun()
    scan = Scan(table.records, FEW, table.conductor.conclude)
    assert look(scan, offers) == [first.rollout]
    table.conductor.abort(first, table.wish())
    second = table.order()
    assert look(scan, offers) == [second.rollout]


def test_a_record_that_vanishes_meanwhile_is_no_error(
    table: Tabletop, capsys: pytest.CaptureFixture[str]
) -> None:
    offers, ticket = Offers(), table.order()
    gone = table.record_path.with_name("gone.json")
    gone.symlink_to(table.root / "nowhere")  # found by name, and not there
    assert look(Scan(table.records, FEW, table.conductor.conclude), offers) == [ticket.rollout]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"{"])
def test_a_broken_record_is_left_to_the_commands(table: Tabletop, content: bytes) -> None:
    offers, ticket = Offers(), table.order()
    other = table.record_path.with_name("other.json")
    other.write_bytes(content)
    assert look(Scan(table.records, FEW, table.conductor.conclude), offers) == [ticket.rollout]


def test_one_rollout_that_cannot_be_concluded_keeps_no_other_from_its_workflow(
    table: Tabletop,
) -> None:
    offers, ticket = Offers(), table.order()
    record = table.record_path.read_bytes()
    table.record_path.with_name("aaa.json").write_bytes(
        record.replace(ENDPOINT.encode(), b"aaa").replace(ticket.rollout.encode(), b"r-a")
    )

    def conclude(found: Ticket) -> Where:
        if found.rollout == "r-a":
            raise Refused("endpoint-state-broken", "not an endpoint's state")
        return table.conductor.conclude(found)

    assert look(Scan(table.records, FEW, conclude), offers) == [ticket.rollout]


# What is known before a canary


def answered(table: Tabletop, release: str | None, *, burst: bool, later: float = 0.0) -> None:
    """Ten minutes of an arm's answers; one in 20 fails, or with ``burst`` all of one user's.
    They end when the rollout begins, or ``later`` seconds later."""
    draw = random.Random(11)
    begin = table.record.started - 600.0 + later
    for number in range(3_000):
        unit = f"u{draw.randrange(40)}"
        bad = unit < "u2" if burst else draw.random() < 0.05
        unit = "u0" if bad and burst else unit
        payload = {"endpoint": ENDPOINT, "unit": unit, "release": release, "duration_ms": 2.0}
        table.log.events.append(
            event(
                FAILED if bad else SERVED,
                "prediction:x",
                workspace="table",
                payload=payload,
                at=datetime.fromtimestamp(begin + number * 0.2, UTC),
            )
        )


def phi_of_errors(table: Tabletop) -> float:
    found = Prior(table.tools)(table.record)
    return next(metric.phi for metric in found.metrics if metric.name is MetricName.ERRORS)


def test_how_the_stable_release_scattered_before_the_rollout_is_known(table: Tabletop) -> None:
    table.order()
    answered(table, table.record.stable, burst=True)
    assert phi_of_errors(table) > 2.0


def test_nobody_else_and_nothing_later_counts(table: Tabletop) -> None:
    table.order()
    answered(table, table.record.stable, burst=False)
    calm = phi_of_errors(table)
    assert 1.0 <= calm < 1.6
    answered(table, table.record.release, burst=True)
    answered(table, "release:flights-delay@000000000000", burst=True)
    answered(table, table.record.stable, burst=True, later=601.0)
    assert phi_of_errors(table) == calm


def test_without_the_ledger_the_definition_holds(table: Tabletop) -> None:
    table.order()

    def away(query: Query) -> NoReturn:
        raise Unavailable("ledger-unreachable", f"no answer to {query}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table.log, "select", away)
        assert phi_of_errors(table) == table.record.definition.phi
