"""An A/B test of two releases from its start to the promotion of its winner, on the real thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.delivery import ENDPOINT, SLUG
from tests.support.rollouts import RolloutStage, Traffic, rolling
from triune.app.tests_daemon import Keeper
from triune.core.abtest_config import Promotion
from triune.core.waiting import wait_until
from triune.delivery.abtest.declaring import of_versions
from triune.delivery.abtest.endpoints import Endpoints
from triune.delivery.abtest.service import ABTests
from triune.delivery.flags.service import Flags
from triune.delivery.gateway.backends.envoy_bootstrap import access_log
from triune.delivery.ingest import Ingester
from triune.ledger.envelope import Event, event
from triune.ledger.ports import Query

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_FULL = of_versions(ENDPOINT, 3, 4, outcome="late", percent=40)
DECLARED = replace(
    _FULL, metrics=_FULL.metrics[:1], minimum_units=40, planned_units=100, cycle_days=0.0
)


def of_stage(stage: RolloutStage) -> ABTests:
    return ABTests(
        log=stage.ledger,
        workspace="stage",
        flags=Flags(stage.ledger, "stage"),
        endpoints=Endpoints(stage.delivery.releases, stage.rollouts, lambda _: "delay"),
        folder=stage.workspace.state / "tests",
        declared=dict,
    )


def ingester(stage: RolloutStage) -> Ingester:
    return Ingester(
        access_log(stage.envoy_folder),
        stage.ledger,
        stage.gateway.reopen_logs,
        workspace="stage",
        status=stage.root / "ingest.json",
    )


def tell_outcomes(stage: RolloutStage, candidate: str) -> None:
    """All were late; version 4 had foreseen it."""
    known = {s.event.subject for s in stage.ledger.select(Query(kind="outcome.observed"))}
    found: list[Event] = []
    for stored in stage.ledger.select(Query(kind="prediction.served")):
        served = stored.event
        if served.subject in known:
            continue
        predicted = 0.9 if served.payload["release"] == candidate else 0.2
        said = {"endpoint": ENDPOINT, "unit": served.payload["unit"], "name": "late", "value": 1}
        found.append(
            event(
                "outcome.observed",
                served.subject,
                workspace="stage",
                payload={**said, "predicted": predicted},
            )
        )
    stage.ledger.record(found)


def test_two_versions_are_compared_and_the_better_one_promoted(tmp_path: Path) -> None:
    with rolling(tmp_path) as stage:
        control, candidate = (stage.release(f"delay@{n}") for n in (3, 4))
        stage.delivery.start(ENDPOINT, control)
        tests, reads = of_stage(stage), ingester(stage)
        with Traffic(stage, 150, units=400) as traffic:
            run = tests.start(DECLARED, "is 4 better?", promotion=Promotion.AUTOMATIC)
            assert run.arms == {control: "a", candidate: "b"}
            keeper = Keeper(tests, print)

            def decided() -> bool:
                while reads.step():
                    pass
                tell_outcomes(stage, candidate)
                keeper.looked.clear()
                keeper.turn()
                return not tests.runs().find(run.name).running

            wait_until(decided, timeout=60, what="the test decides")
            wait_until(lambda: stage.served() == candidate, timeout=30, what="4 serves everybody")
        standing = tests.status(run.name)
        assert (standing.run.winner, standing.run.verdict) == ("b", "pass")
        assert standing.counts["hopped"] == 0
        assert tests.compare(standing).agrees
        assert traffic.failed() == []
        for stored in stage.ledger.select(Query(kind="prediction.served")):
            payload = stored.event.payload
            period = standing.period
            if period is not None and period.holds(stored.event.time):
                assert run.arms[payload["release"]] == DECLARED.variant_of(payload["unit"]), SLUG
