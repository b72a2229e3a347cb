"""A test's rule in a flag: what our evaluator and flagd's own say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from tests.support.abtest_facts import DECLARED
from triune.delivery.abtest import rules
from triune.delivery.abtest.model import Declaration, Layer, Variant
from triune.delivery.flags import definitions, document, edits
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Flag, Kind

FLAG = Flag("new-ui", True, {"on": True, "off": False}, "off")
RULED = replace(FLAG, targeting={"if": [{"==": [{"var": "plan"}, "staff"]}, "on"]})
PARTIAL = replace(
    DECLARED,
    variants=(Variant("old", 2000, "off"), Variant("new", 3000, "on")),
    layer=Layer("pages", 2000, 5000),
    holdout=Layer("held", 0, 1000),
    eligibility={"==": [{"var": "country"}, "de"]},
)


def given(flag: Flag, unit: str | None, **context: Any) -> str | None:
    return (
        Evaluator([flag])
        .evaluate(flag.key, False, kind=Kind.BOOLEAN, targeting_key=unit, attributes=context)
        .variant
    )


@pytest.mark.parametrize("declared", [DECLARED, PARTIAL])
def test_the_flag_gives_what_the_declaration_says_and_flagd_agrees(declared: Declaration) -> None:
    flag = rules.put_in(FLAG, declared, "run-1")
    definitions.read({"flags": {flag.key: document.of_flag(flag)}})
    core = FlagdCore()
    core.set_flags(__import__("json").dumps(document.of_flags({flag.key: flag})))
    seen = set()
    for number in range(2000):
        unit = f"u{number}"
        expected = {"old": "off", "new": "on", None: "off"}[declared.variant_of(unit)]
        assert given(flag, unit, country="de") == expected
        context = EvaluationContext(unit, {"country": "de"})
        assert core.resolve_boolean_value(flag.key, False, context).variant == expected
        seen.add(declared.variant_of(unit))
    assert seen == ({"old", "new"} if declared is DECLARED else {"old", "new", None})


def test_whom_the_test_does_not_take_gets_what_the_flag_gave_before() -> None:
    flag = rules.put_in(RULED, PARTIAL, "run-1")
    for number in range(500):
        unit = f"u{number}"
        assert given(flag, unit, plan="staff", country="fr") == "on"
        assert given(flag, unit, plan="free", country="fr") == "off"
    assert given(flag, None, plan="free", country="de") == "off"


@pytest.mark.parametrize("flag", [FLAG, RULED])
def test_taken_out_it_is_the_flag_before(flag: Flag) -> None:
    inside = rules.put_in(flag, PARTIAL, "run-1")
    assert rules.is_in(inside, PARTIAL, "run-1")
    assert not rules.is_in(replace(inside, enabled=False), PARTIAL, "run-1")
    assert rules.taken_out(inside, PARTIAL, "run-1") == flag


def test_what_was_changed_meanwhile_stays() -> None:
    inside = rules.put_in(RULED, PARTIAL, "run-1")
    changed = edits.rolled_out(inside, {"on": 25})
    left = rules.taken_out(changed, PARTIAL, "run-1")
    assert left.targeting == edits.rolled_out(FLAG, {"on": 25}).targeting
    by_hand = replace(inside, targeting={"if": [True, "on"]})
    assert rules.taken_out(by_hand, PARTIAL, "run-1").targeting == {"if": [True, "on"]}
    assert not rules.is_in(by_hand, PARTIAL, "run-1")
