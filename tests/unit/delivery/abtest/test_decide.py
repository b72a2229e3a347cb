"""What follows from a look, and how it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.abtests import BOUGHT, declared, seen, successes
from triune.delivery.abtest.analysis import analyse
from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.decide import ACTIONS, Action, Decision, decide
from triune.delivery.abtest.explain import explain
from triune.delivery.abtest.model import Better, Declaration, Kind, Method, Metric, Role
from triune.delivery.abtest.readings import Readings
from triune.delivery.rollout.verdict import Verdict

ERRORS = Metric("errors", Kind.PROPORTION, Role.GUARDRAIL, better=Better.LOWER, margin=0.2)
TEST = declared(ERRORS, planned_units=20_000)


def readings(
    bought: int = 2400,
    errors: int = 1000,
    n: int = 20_000,
    m: int | None = None,
    **others: object,
) -> Readings:
    cells: dict[tuple[str, ...], Cell] = {
        ("bought", "a"): successes(BOUGHT, n // 10, n),
        ("bought", "b"): successes(BOUGHT, bought, m or n),
        ("errors", "a"): successes(ERRORS, n // 20, n),
        ("errors", "b"): successes(ERRORS, errors, m or n),
    }
    return seen(cells, **others)  # type: ignore[arg-type]


def decided(found: Readings, test: Declaration = TEST) -> tuple[Decision, str]:
    analysis = analyse(test, found)
    decision = decide(test, analysis, found)
    return decision, " ".join(explain(test, analysis, decision, found))


def test_every_action_has_its_sentence() -> None:
    assert set(ACTIONS) == set(Action)


def test_a_better_and_harmless_variant_is_promoted_and_the_estimate_called_too_large() -> None:
    decision, words = decided(readings())
    assert (decision.action, decision.verdict) == (Action.PROMOTE, Verdict.PASS)
    assert decision.variant == "b"
    assert "b won the test checkout" in words
    assert "12.00% against 10.00%, +20.0%" in words
    assert "rather too large" in words


@pytest.mark.parametrize(
    ("found", "lacking"),
    [
        (readings(days=6.0), "6 d of 7 d"),
        (readings(bought=150, errors=45, n=900), "900 of 1000 units"),
        (readings(alarm="canary r7 is being rolled back"), "alarm is active: canary r7"),
        (readings(bought=240, errors=100, n=2000), "bought shows no difference"),
        (readings(bought=700, errors=200, n=4000), "errors may still be worse"),
    ],
)
def test_nothing_is_promoted_while_something_is_lacking(found: Readings, lacking: str) -> None:
    test = replace(TEST, planned_units=50_000)
    decision, words = decided(found, test)
    assert decision.action is Action.CONTINUE
    assert decision.verdict is Verdict.NOT_YET
    assert any(lacking in each for each in decision.lacking)
    assert "goes on" in words


def test_a_wrong_split_stops_the_test_however_good_the_variant_looks() -> None:
    decision, words = decided(readings(bought=3000, m=21_000))
    assert (decision.action, decision.verdict) == (Action.STOP, Verdict.FAIL)
    assert "b has 21000 units instead of 20500" in decision.reason
    assert "was stopped" in words


def test_harm_is_put_before_a_person_at_once() -> None:
    decision, words = decided(readings(errors=1600, days=1.0))
    assert (decision.action, decision.verdict) == (Action.ASK, Verdict.FAIL)
    assert "errors worse by more than the margin" in decision.reason
    assert "worse than control by more than the tolerated 20.0%" in words


def test_no_difference_never_promotes_and_says_what_was_learned() -> None:
    decision, words = decided(readings(bought=2040))
    assert (decision.action, decision.verdict) == (Action.ASK, Verdict.NOT_YET)
    assert "planned 20000 units an arm are reached" in decision.reason
    assert "does not show that there is none" in words
    assert "Learned anyway: whatever b does to bought, it is not below" in words
    assert "excluded either way" not in words
    many = readings(bought=20_000, errors=10_000, n=200_000)
    _, words = decided(many)
    assert "An effect of 10.0%, the smallest worth knowing, is excluded either way." in words


def test_a_worse_variant_is_a_persons_to_end() -> None:
    decision, words = decided(readings(bought=1700))
    assert decision.action is Action.ASK
    assert "bought is worse" in decision.reason
    assert "worse than control" in words


def test_time_runs_out() -> None:
    decision, _ = decided(readings(bought=200, errors=100, n=2000, days=91.0))
    assert decision.action is Action.ASK
    assert "90 days are over" in decision.reason


def test_a_variant_that_only_must_not_be_worse_is_promoted_when_it_is_not() -> None:
    primary = replace(BOUGHT, margin=0.1)
    test = replace(TEST, metrics=(primary, ERRORS), non_inferior=True)
    assert decided(readings(bought=2000), test)[0].action is Action.PROMOTE
    assert decided(readings(bought=2000))[0].action is Action.ASK
    assert decided(readings(bought=1000), test)[0].verdict is Verdict.FAIL
    small = decided(readings(bought=200, errors=100, n=2000), test)[0]
    assert small.action is Action.CONTINUE


def test_of_several_winners_the_best_estimate_is_promoted() -> None:
    test = declared(arms=3, planned_units=20_000)
    rates = {"a": 2000, "b": 2500, "c": 2700}
    cells: dict[tuple[str, ...], Cell] = {
        ("bought", v): successes(BOUGHT, k, 20_000) for v, k in rates.items()
    }
    decision, words = decided(seen(cells), test)
    assert (decision.action, decision.variant) == (Action.PROMOTE, "c")
    assert "Each of the 2 variants is compared with control at 0.025" in words


def test_a_fixed_test_needs_all_its_units() -> None:
    test = replace(TEST, method=Method.FIXED, planned_units=30_000)
    decision, _ = decided(readings(bought=3000), test)
    assert decision.action is Action.CONTINUE
    assert "20000 of 30000 units" in decision.reason


def test_units_that_saw_several_variants_are_told() -> None:
    _, words = decided(readings(hopped=12))
    assert "12 of 40000 units saw more than one variant." in words
