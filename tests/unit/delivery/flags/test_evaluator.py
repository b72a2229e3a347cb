"""Evaluation never raises, and says what went wrong in OpenFeature's words."""

from __future__ import annotations

from typing import Any

import pytest

from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Code, Flag, Kind, Reason

VARIANTS = {"on": True, "off": False}


def flag(targeting: Any = None, **more: Any) -> Flag:
    return Flag(**{"key": "f", "enabled": True, "variants": VARIANTS, "default": "off"} | more,
                targeting=targeting)  # fmt: skip


def evaluate(one: Flag, **context: Any) -> Any:
    return Evaluator([one]).evaluate("f", "mine", kind=Kind.BOOLEAN, **context)


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (flag({"between": [1, 2]}), Code.PARSE_ERROR),
        (flag([1]), Code.PARSE_ERROR),
        (flag({"/": [1, 0]}), Code.GENERAL),
        (flag({"cat": ["gone"]}), Code.GENERAL),
        (flag(default="gone"), Code.GENERAL),
        (flag(variants={"off": "text"}), Code.TYPE_MISMATCH),
        (flag(variants={"off": 1}), Code.TYPE_MISMATCH),
    ],
)
def test_whatever_is_wrong_the_callers_default_is_given(one: Flag, code: Code) -> None:
    found = evaluate(one)
    assert (found.value, found.variant, found.reason, found.error) == (
        "mine", None, Reason.ERROR, code,
    )  # fmt: skip
    assert found.message


def test_an_absent_flag_is_told() -> None:
    found = Evaluator([]).evaluate("f", 3, kind=Kind.INTEGER)
    assert (found.value, found.error) == (3, Code.FLAG_NOT_FOUND)


def test_without_a_targeting_key_nobody_is_in_a_share() -> None:
    split = flag({"fractional": [["on", 1]]})
    assert evaluate(split).variant == "off"
    assert evaluate(split, targeting_key="").variant == "off"
    assert evaluate(split, targeting_key="u").variant == "on"
    assert evaluate(split, targeting_key="\ud800").variant == "off"  # no text


def test_nothing_is_printed_by_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(flag({"log": ["on"]})).variant == "on"
    assert capsys.readouterr().out == ""


def test_a_rule_cannot_change_what_it_is_asked_about() -> None:
    attributes = {"tags": [1, 2], "targetingKey": "other"}
    found = evaluate(
        flag({"if": [{"==": [{"var": "targetingKey"}, "u"]}, "on", "off"]}),
        targeting_key="u", attributes=attributes,
    )  # fmt: skip
    assert found.variant == "on"
    assert attributes == {"tags": [1, 2], "targetingKey": "other"}
