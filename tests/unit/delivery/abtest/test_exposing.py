"""Exposures by the OpenFeature hook: who is exposed, once, whatever happens to the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext

from tests.support.abtest_facts import DECLARED, SEGMENTED
from triune.core.errors import Unavailable
from triune.core.waiting import wait_until
from triune.delivery.abtest import rules
from triune.delivery.abtest.exposing import Exposures, Outcomes, Running
from triune.delivery.abtest.hook import ExposureHook
from triune.delivery.abtest.model import Layer
from triune.delivery.abtest.runs import Run
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Flag
from triune.delivery.flags.provider import TriuneProvider
from triune.ledger.envelope import Event

FLAG = Flag("new-ui", True, {"on": True, "off": False}, "off")
LAYERED = replace(
    DECLARED, layer=Layer("pages", 0, 5000), eligibility={"==": [{"var": "country"}, "de"]}
)


def run(declaration: Any = DECLARED, identifier: str = "run-1") -> Run:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    return Run(identifier, 1, declaration, "user:ada", "to see", now)


class Stage:
    """A client whose flag is in a test, and what is told of it."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.full = False
        self.known: dict[str, Run] = {"run-1": run(LAYERED)}
        self.flag = rules.put_in(FLAG, LAYERED, "run-1")
        self.exposures = Exposures(self.take, "shop", remembered=50)
        api.set_provider(TriuneProvider(lambda: Evaluator([self.flag])), domain="shop")
        self.client: OpenFeatureClient = api.get_client("shop")
        self.client.add_hooks([ExposureHook(lambda: self.known, self.exposures)])

    def take(self, event: Event) -> None:
        if self.full:
            raise Unavailable("journal-full", "no room")
        self.told.append(event)

    def ask(self, unit: str | None, country: str = "de") -> bool:
        context = EvaluationContext(unit, {"country": country})
        return self.client.get_boolean_value("new-ui", False, context)


@pytest.fixture
def stage() -> Iterator[Stage]:
    yield Stage()
    api.clear_providers()


def test_an_exposure_has_what_the_segments_read_and_nothing_else(stage: Stage) -> None:
    segmented = replace(LAYERED, segments=SEGMENTED.segments)
    stage.known["run-1"] = run(segmented)
    for number in range(20):
        stage.ask(f"u{number}")
    assert stage.told
    assert all(event.payload["context"] == {"country": "de"} for event in stage.told)


def test_who_is_treated_is_exposed_once(stage: Stage) -> None:
    for number in range(40):
        for _ in range(2):
            value = stage.ask(f"u{number}")
            variant = LAYERED.variant_of(f"u{number}")
            assert value is (variant == "new")
    told = {e.payload["unit"]: e.payload["variant"] for e in stage.told}
    expected = {f"u{n}": LAYERED.variant_of(f"u{n}") for n in range(40)}
    assert told == {unit: variant for unit, variant in expected.items() if variant}
    assert stage.exposures.counts["told"] == len(stage.told) == len(told)
    assert stage.exposures.counts["known"] == len(told)


def test_who_is_not_taken_is_not_exposed(stage: Stage) -> None:
    unit = next(f"u{n}" for n in range(99) if LAYERED.variant_of(f"u{n}"))
    stage.ask(unit, country="fr")
    stage.ask(None)
    stage.ask("")
    stage.client.get_boolean_value("another", False, EvaluationContext(unit))
    assert stage.told == []


def test_old_flags_and_unknown_runs_tell_nothing(stage: Stage) -> None:
    units = [f"u{n}" for n in range(30)]
    stage.flag = FLAG
    for unit in units:
        stage.ask(unit)
    stage.flag, stage.known = rules.put_in(FLAG, LAYERED, "run-1"), {}
    for unit in units:
        stage.ask(unit)
    assert stage.told == []


def test_a_full_journal_loses_an_exposure_that_is_told_the_next_time(stage: Stage) -> None:
    unit = next(f"u{n}" for n in range(99) if LAYERED.variant_of(f"u{n}"))
    stage.full = True
    stage.ask(unit)
    assert stage.exposures.counts["lost"] == 1
    stage.full = False
    stage.ask(unit)
    assert [e.payload["unit"] for e in stage.told] == [unit]


def test_one_that_is_forgotten_has_the_same_id_again(stage: Stage) -> None:
    for number in range(200):
        stage.ask(f"u{number}")
    for number in range(200):
        stage.ask(f"u{number}")
    ids = [e.id for e in stage.told]
    assert len(ids) > len(set(ids)) == sum(bool(LAYERED.variant_of(f"u{n}")) for n in range(200))


def test_a_rule_that_breaks_gives_the_flag_all_the_same(stage: Stage) -> None:
    broken = replace(LAYERED, eligibility={"no such operation": []})
    stage.known = {"run-1": run(broken)}
    assert stage.ask("u1") in (True, False)
    assert stage.exposures.counts["failed"] == 1


def test_running_tests_are_followed_and_an_outage_keeps_the_last() -> None:
    answers: list[Mapping[str, Run] | None] = [{"run-1": run()}]

    def ask() -> Mapping[str, Run]:
        if answers[-1] is None:
            raise Unavailable("ledger-unreachable", "away")
        return answers[-1]

    running = Running(ask, every=0.01).start()
    try:
        assert set(running()) == {"run-1"}
        answers.append(None)
        answers.append({"run-2": run(identifier="run-2")})
        wait_until(lambda: set(running()) == {"run-2"}, timeout=10, what="the new test is known")
        answers.append(None)
        assert set(running()) == {"run-2"}
    finally:
        running.stop()


def test_an_outcome_that_is_told_again_takes_its_own_place() -> None:
    told: list[Event] = []
    outcomes = Outcomes(told.append, "shop")
    happened = datetime(2026, 11, 28, 12, tzinfo=UTC)
    outcomes.happened("u1", "order", 30.0, at=happened, key="o-17")
    outcomes.happened("u1", "order", 20.0, at=happened, key="o-17")
    outcomes.happened("u1", "order")
    first, second, third = told
    assert first.subject == second.subject != third.subject
    assert first.payload["at"] == round(happened.timestamp() * 1e6)
    assert third.payload == {"unit": "u1", "name": "order", "value": 1.0}
