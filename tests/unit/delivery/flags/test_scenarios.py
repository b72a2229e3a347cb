"""What flagd's specification says of each operation and edge, case by case.

Each case is also put to flagd's own core, which must answer the same; `OWN` names those where it
does not, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from triune.core.errors import ConfigError
from triune.delivery.flags.definitions import read
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Code, Kind, Reason

MINE = {
    Kind.BOOLEAN: True,
    Kind.STRING: "mine",
    Kind.INTEGER: 77,
    Kind.FLOAT: 7.5,
    Kind.OBJECT: {"mine": 1},
}
MATCH, DEFAULT, STATIC, ERROR = (
    Reason.TARGETING_MATCH, Reason.DEFAULT, Reason.STATIC, Reason.ERROR,
)  # fmt: skip
TEXTS = {name: name for name in ("a", "b", "c", "default", "true", "false")}
NOTHING: Mapping[str, Any] = MappingProxyType({})
OWN = {
    "a boolean is no number": "in Python it is one, which the core lets through",
}


class Case(NamedTuple):
    """A rule over `TEXTS` (or another flag), whom it is asked for, and what it gives."""

    name: str
    rule: Any
    value: Any
    reason: Reason = MATCH
    context: Mapping[str, Any] = NOTHING
    unit: str | None = None
    kind: Kind = Kind.STRING
    flag: Mapping[str, Any] = NOTHING
    error: Code | None = None
    file: Mapping[str, Any] = NOTHING


def chosen(condition: Any) -> dict[str, Any]:
    return {"if": [condition, "a", "b"]}


def versions(left: Any, between: str, right: Any) -> dict[str, Any]:
    return chosen({"sem_ver": [left, between, right]})


V = {"var": "v"}
KEY = {"var": "targetingKey"}
SPLIT = [["a", 50], ["b", 50]]
LOW, HIGH = "user-17", "user-2"
FRACTIONAL = [
    # Of 10,000 the bucket of ("f", "user-17") is 3,693, and that of ("f", "user-2") 8,346.
    Case("the shorthand goes by flag and key", {"fractional": SPLIT}, "a", unit=LOW),
    Case("another key, another variant", {"fractional": SPLIT}, "b", unit=HIGH),
    Case("a weight that is left out is 1", {"fractional": [["a"], ["b"]]}, "a", unit=LOW),
    Case("the first range ends before", {"fractional": [["a", 36], ["b", 64]]}, "b", unit=LOW),
    Case("the first range ends behind", {"fractional": [["a", 37], ["b", 63]]}, "a", unit=LOW),
    Case("weights need not come to 100", {"fractional": [["a", 2], ["b", 3]]}, "a", unit=LOW),
    Case("nor to less", {"fractional": [["a", 700], ["b", 700]]}, "b", unit=HIGH),
    Case("a weight of 0 gets nobody", {"fractional": [["a", 0], ["b", 1]]}, "b", unit=LOW),
    Case("one variant gets all", {"fractional": [["c", 7]]}, "c", unit="anybody"),
    Case("no key, no share", {"fractional": SPLIT}, "default", DEFAULT),
    Case("an empty key, no share", {"fractional": SPLIT}, "default", DEFAULT, unit=""),
    Case("by a key of its own", {"fractional": [V, *SPLIT]}, "a", context={"v": "r"}),
    Case("that key may be a number", {"fractional": [V, *SPLIT]}, "a", context={"v": 3}),
    Case("3.0 is 3", {"fractional": [V, *SPLIT]}, "a", context={"v": 3.0}),
    Case("that key may be missing", {"fractional": [V, *SPLIT]}, "default", DEFAULT, unit=LOW),
    Case("that key may be made", {"fractional": [{"cat": ["x", KEY]}, *SPLIT]}, "b", unit=HIGH),
    Case("a key that is empty counts", {"fractional": [{"cat": [""]}, *SPLIT]}, "a"),
    Case(
        "a variant may be a rule",
        {"fractional": [[{"if": [V, "c", "a"]}, 50], ["b", 50]]},
        "c", context={"v": True}, unit=LOW,
    ),
    Case(
        "a weight may be a rule",
        {"fractional": [["a", {"if": [V, 100, 0]}], ["b", 10]]},
        "b", context={"v": False}, unit=LOW,
    ),
    Case("it may be a condition", chosen({"fractional": [[False, 0], [True, 1]]}), "a", unit="u"),
    Case("a split in a branch", {"if": [V, "c", {"fractional": SPLIT}]}, "a", unit=LOW),
]  # fmt: skip
SEM_VER = [
    *(
        Case(f"{left} {between} {right}", versions(V, between, right), wanted, context={"v": left})
        for left, between, right, wanted in [
            ("1.2.3", "=", "1.2.3", "a"), ("1.2.3", "=", "1.2.4", "b"),
            ("1.2.3", "!=", "1.2.4", "a"), ("1.2.3", "!=", "1.2.3", "b"),
            ("1.9.0", "<", "1.10.0", "a"), ("1.10.0", "<", "1.9.0", "b"),
            ("1.2.3", "<=", "1.2.3", "a"), ("2.0.0", "<=", "1.9.9", "b"),
            ("2.0.0", ">", "1.99.99", "a"), ("2.0.0", ">", "2.0.0", "b"),
            ("2.0.0", ">=", "2.0.0", "a"), ("1.9.9", ">=", "2.0.0", "b"),
            ("3.9.1", "^", "3.0.0", "a"), ("4.0.0", "^", "3.0.0", "b"),
            ("3.0.0", "^", "3.9.1", "a"),
            ("3.0.9", "~", "3.0.0", "a"), ("3.1.0", "~", "3.0.0", "b"),
            ("2.0.0-alpha", "<", "2.0.0", "a"), ("2.0.0-alpha.2", "<", "2.0.0-alpha.10", "a"),
            ("2.0.0-1", "<", "2.0.0-alpha", "a"), ("2.0.0+build", "=", "2.0.0+other", "a"),
            ("v1.0.0", "=", "1.0.0", "a"), ("1.0.0", "=", "V1.0.0", "a"),
            ("1.5.0", "^", "1", "a"), ("1.2", "=", "1.2.0", "a"), ("1", "<", "1.0.1", "a"),
            ("1.2-rc.1", "<", "1.2.0", "a"),
        ]
    ),
    Case("a number is a version", versions(V, "=", "2.0.0"), "a", context={"v": 2}),
    Case("four numbers are none", {"sem_ver": [V, "=", "2.0.0"]}, "default", DEFAULT,
         context={"v": "2.0.0.0"}),
    Case("a word is none", {"sem_ver": [V, ">", "2.0.0"]}, "default", DEFAULT,
         context={"v": "latest"}),
    Case("nothing is none", {"sem_ver": [V, ">", "2.0.0"]}, "default", DEFAULT),
    Case("what is none is not so", versions(V, "!=", "2.0.0"), "b", context={"v": "latest"}),
    Case("a leading zero is none", versions(V, "=", "1.2.3"), "b", context={"v": "1.02.3"}),
]  # fmt: skip
TEXT = [
    Case("starts with", chosen({"starts_with": [V, "ab"]}), "a", context={"v": "abc"}),
    Case("does not start with", chosen({"starts_with": [V, "bc"]}), "b", context={"v": "abc"}),
    Case("ends with", chosen({"ends_with": [V, "bc"]}), "a", context={"v": "abc"}),
    Case("does not end with", chosen({"ends_with": [V, "ab"]}), "b", context={"v": "abc"}),
    Case("all begins with nothing", chosen({"starts_with": [V, ""]}), "a", context={"v": "abc"}),
    Case("case counts", chosen({"starts_with": [V, "AB"]}), "b", context={"v": "abc"}),
    Case("a number starts with nothing", {"starts_with": [V, "1"]}, "default", DEFAULT,
         context={"v": 123}),
    Case("a number ends with nothing", {"ends_with": [V, "3"]}, "default", DEFAULT,
         context={"v": 123}),
    Case("what is not there neither", {"ends_with": [V, "3"]}, "default", DEFAULT),
]  # fmt: skip
IS_STAFF = {"==": [{"var": "plan"}, "staff"]}
CONTEXT = [
    Case("by the key", chosen({"==": [KEY, "u"]}), "a", unit="u"),
    Case("an attribute is not the key", chosen({"==": [KEY, "u"]}), "b", unit="x",
         context={"targetingKey": "u"}),
    Case("without a key", chosen({"==": [KEY, None]}), "a"),
    Case("by the flag's own key", chosen({"==": [{"var": "$flagd.flagKey"}, "f"]}), "a"),
    Case("by the time", chosen({">": [{"var": "$flagd.timestamp"}, 1_700_000_000]}), "a"),
    Case("in seconds, not in parts of them",
         chosen({"<": [{"var": "$flagd.timestamp"}, 10_000_000_000]}), "a"),
    Case("deep in the context", chosen({"==": [{"var": "u.plan.0"}, "pro"]}), "a",
         context={"u": {"plan": ["pro"]}}),
    Case("with something in place of nothing", chosen({"==": [{"var": ["gone", 3]}, 3]}), "a"),
    Case("an evaluator", chosen({"$ref": "staff"}), "a", context={"plan": "staff"},
         file={"$evaluators": {"staff": IS_STAFF}}),
    Case("an evaluator in an evaluator", chosen({"$ref": "outer"}), "b", context={"plan": "staff"},
         file={"$evaluators": {"outer": {"!": [{"$ref": "staff"}]}, "staff": IS_STAFF}}),
]  # fmt: skip
ANSWERS = [
    Case("nothing gives the default", {"if": [False, "a"]}, "default", DEFAULT),
    Case("null gives the default", {"if": [True, None, "a"]}, "default", DEFAULT),
    Case("true is the variant true", {"==": [1, 1]}, "true"),
    Case("false is the variant false", {"==": [1, 2]}, "false"),
    Case("a number is the variant of its name", {"if": [True, 3]}, "three",
         flag={"variants": {"3": "three"}, "defaultVariant": "3"}),
    Case("the answer is no variant", V, "mine", ERROR, context={"v": "z"}, error=Code.GENERAL),
    Case("the answer is an empty text", V, "mine", ERROR, context={"v": ""}, error=Code.GENERAL),
    Case("no rule", None, "default", STATIC),
    Case("an empty rule", {}, "default", STATIC),
    Case("off", {"if": [True, "a"]}, "mine", Reason.DISABLED, flag={"state": "DISABLED"}),
    Case("off, and broken", None, "mine", Reason.DISABLED,
         flag={"state": "DISABLED", "defaultVariant": None}),
    Case("no default, no rule", None, "mine", DEFAULT, flag={"defaultVariant": None}),
    Case("no default, no match", {"if": [False, "a"]}, "mine", DEFAULT,
         flag={"defaultVariant": None}),
    Case("no default, a match", {"if": [True, "a"]}, "a", flag={"defaultVariant": None}),
]  # fmt: skip
ZERO: list[tuple[Kind, Any, Any]] = [
    (Kind.BOOLEAN, False, True), (Kind.STRING, "", "x"), (Kind.INTEGER, 0, 1),
    (Kind.FLOAT, 0.0, 1.5), (Kind.OBJECT, {}, {"x": [1]}),
]  # fmt: skip


def flag(zero: Any, other: Any) -> dict[str, Any]:
    return {"variants": {"zero": zero, "other": other}, "defaultVariant": "zero"}


TYPES = [
    *(Case(f"{kind} zero", None, zero, STATIC, kind=kind, flag=flag(zero, other))
      for kind, zero, other in ZERO),
    *(Case(f"{kind} zero by a rule", {"if": [True, "zero", "other"]}, zero, kind=kind,
           flag=flag(zero, other)) for kind, zero, other in ZERO),
    *(Case(f"{kind} asked for text", None, "mine", ERROR, error=Code.TYPE_MISMATCH,
           flag=flag(zero, other)) for kind, zero, other in ZERO if kind is not Kind.STRING),
    *(Case(f"text asked for {kind}", None, MINE[kind], ERROR, kind=kind, error=Code.TYPE_MISMATCH,
           flag=flag("x", "y")) for kind, _, _ in ZERO if kind is not Kind.STRING),
    Case("a boolean is no whole number", None, 77, ERROR, kind=Kind.INTEGER,
         error=Code.TYPE_MISMATCH, flag=flag(True, False)),
    Case("a boolean is no number", None, 7.5, ERROR, kind=Kind.FLOAT, error=Code.TYPE_MISMATCH,
         flag=flag(True, False)),
    Case("a whole number is a number", None, 10.0, STATIC, kind=Kind.FLOAT, flag=flag(10, 1)),
    Case("half is no whole number", None, 77, ERROR, kind=Kind.INTEGER,
         error=Code.TYPE_MISMATCH, flag=flag(0.5, 1)),
    Case("the largest of 32 bits", None, 2**31 - 1, STATIC, kind=Kind.INTEGER,
         flag=flag(2**31 - 1, 1)),
    Case("the largest that a double has", None, 2**53 - 1, STATIC, kind=Kind.INTEGER,
         flag=flag(2**53 - 1, 1)),
]  # fmt: skip
CASES = [*FRACTIONAL, *SEM_VER, *TEXT, *CONTEXT, *ANSWERS, *TYPES]


def document(case: Case) -> dict[str, Any]:
    one = {"state": "ENABLED", "variants": TEXTS, "defaultVariant": "default", **case.flag}
    if case.rule is not None:
        one["targeting"] = case.rule
    return deepcopy({"flags": {"f": one}, **case.file})


def theirs(case: Case) -> tuple[Any, ...]:
    core = FlagdCore()
    core.set_flags(document(case))
    resolve = getattr(core, f"resolve_{case.kind.value}_value")
    try:
        found = resolve("f", MINE[case.kind], EvaluationContext(case.unit, case.context))
    except OpenFeatureError as error:
        return MINE[case.kind], ERROR, error.error_code.value
    except Exception as error:
        return MINE[case.kind], ERROR, type(error).__name__
    return found.value, found.reason, None


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_of_the_specification(case: Case) -> None:
    evaluator = Evaluator(read(document(case)).flags.values())
    found = evaluator.evaluate(
        "f", MINE[case.kind], kind=case.kind, targeting_key=case.unit, attributes=case.context
    )
    assert (found.value, found.reason, found.error) == (case.value, case.reason, case.error)
    assert type(found.value) is type(case.value)
    if case.name not in OWN:
        assert theirs(case) == (case.value, case.reason, case.error)


def test_the_cases_where_the_core_answers_otherwise_are_still_such() -> None:
    for case in CASES:
        if case.name in OWN:
            assert theirs(case) != (case.value, case.reason, case.error), case.name


# What cannot be meant, and is told when a file is read: place, and a part of the words.
MISTAKES: list[tuple[Any, str, str]] = [
    ({"fractional": [["a", 1], ["z", 1]]}, "targeting", "answers 'z'"),
    ({"if": [V, "a", "z"]}, "targeting", "answers 'z'"),
    ({"if": [V, {"fractional": [V, ["a", 1], ["y", 1]]}, "b"]}, "targeting", "answers 'y'"),
    ({"fractional": [["a", 0], ["b", 0]]}, "targeting.fractional", "all weights are 0"),
    ({"fractional": [["a", True]]}, "targeting.fractional", "the weight True"),
    ({"fractional": [["a", "50"]]}, "targeting.fractional", "the weight '50'"),
    ({"fractional": [["a", 1, 1]]}, "targeting.fractional", "part 1"),
    ({"fractional": []}, "targeting.fractional", "no variants"),
    ({"sem_ver": [V, ">", "latest"]}, "targeting.sem_ver", "'latest' is no version"),
    ({"sem_ver": ["1.2.3.4", ">", V]}, "targeting.sem_ver", "'1.2.3.4' is no version"),
    ({"sem_ver": [V, "===", "1"]}, "targeting.sem_ver", "no operator '==='"),
    ({"sem_ver": [V, 1, "1"]}, "targeting.sem_ver", "no operator 1"),
    ({"starts_with": [V, 5]}, "targeting.starts_with", "5 is no text"),
    ({"ends_with": [V]}, "targeting.ends_with", "takes two texts"),
    ({"if": [{"==": [{"var": "$flagd.time"}, 1]}, "a"]}, "targeting.if[0].==[0].var", "tells no"),
    ({"matches": [V, "a"]}, "targeting", "unknown operation 'matches'"),
    ({"$ref": "nobody"}, "targeting", "there is no evaluator"),
    ({"$ref": ["staff"]}, "targeting", "$ref names"),
    ({"if": [{"$ref": "circle"}, "a"]}, "targeting", "circle -> back -> circle"),
    ({"if": [{"$ref": "bomb9"}, "a"]}, "targeting", "comes to more than"),
    ("a", "targeting", "must be an object"),
    ([V], "targeting", "must be an object"),
]
EVALUATORS = {
    "staff": IS_STAFF,
    "circle": {"!": [{"$ref": "back"}]},
    "back": {"!": [{"$ref": "circle"}]},
    "bomb0": {"var": "x"},
    **{f"bomb{n + 1}": {"or": [{"$ref": f"bomb{n}"}] * 9} for n in range(9)},
}


@pytest.mark.parametrize(("rule", "place", "words"), MISTAKES)
def test_what_cannot_be_meant_is_told(rule: Any, place: str, words: str) -> None:
    case = Case("", rule, "", file={"$evaluators": EVALUATORS})
    with pytest.raises(ConfigError) as caught:
        read(document(case))
    (problem,) = caught.value.problems
    assert problem.key == f"flags.f.{place}"
    assert words in problem.what
    assert problem.mend


def test_true_and_false_are_told_where_no_variants_are_called_so() -> None:
    on_off = {"variants": {"on": True, "off": False}, "defaultVariant": "off"}
    with pytest.raises(ConfigError) as caught:
        read(document(Case("", IS_STAFF, "", flag=on_off)))
    assert [one.what for one in caught.value.problems] == [
        "answers 'false', which is no variant",
        "answers 'true', which is no variant",
    ]


def test_a_rule_without_end_is_told() -> None:
    rule: Any = V
    for _ in range(200):
        rule = {"!": [rule]}
    with pytest.raises(ConfigError) as caught:
        read(document(Case("", {"if": [rule, "a"]}, "")))
    assert "deeper than 100" in caught.value.problems[0].what
