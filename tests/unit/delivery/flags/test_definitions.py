"""Reading flagd's format: what it means, and every mistake with its place."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from triune.core.errors import ConfigError
from triune.delivery.flags.definitions import read
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Kind, Reason

ON_OFF = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}


def with_targeting(targeting: Any, **more: Any) -> dict[str, Any]:
    return {"flags": {"f": {**ON_OFF, "targeting": targeting}}, **more}


def mistakes(document: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        read(document)
    return {problem.key: problem.what for problem in caught.value.problems}


def test_a_file_of_flagds_is_read_as_flagd_reads_it() -> None:
    document = {
        "$schema": "https://flagd.dev/schema/v0/flags.json",
        "metadata": {"set": "shop"},
        "$evaluators": {"german": {"in": [{"var": "country"}, ["de", "at"]]}},
        "flags": {
            "f": {
                **ON_OFF,
                "targeting": {"if": [{"$ref": "german"}, {"fractional": [["on", 1], ["off", 3]]}]},
                "metadata": {"owner": "ml"},
            },
            "plain": {"state": "ENABLED", "variants": {"a": "x"}, "defaultVariant": ""},
        },
    }
    found = read(document)
    core = FlagdCore()
    core.set_flags(deepcopy(document))
    evaluator = Evaluator(found.flags.values(), found.metadata)
    for number in range(200):
        attributes = {"country": ("de", "us")[number % 2]}
        wanted = core.resolve_boolean_value("f", True, EvaluationContext(str(number), attributes))
        got = evaluator.evaluate(
            "f", True, kind=Kind.BOOLEAN, targeting_key=str(number), attributes=attributes
        )
        assert (got.value, got.variant, got.reason) == (wanted.value, wanted.variant, wanted.reason)
        assert got.metadata == {"set": "shop", "owner": "ml"}
    plain = evaluator.evaluate("plain", "mine", kind=Kind.STRING)
    assert (plain.value, plain.variant, plain.reason) == ("mine", None, Reason.DEFAULT)


def test_evaluators_may_name_evaluators_in_any_order() -> None:
    for names in (("a", "b"), ("b", "a")):
        rules = {"a": {"if": [{"$ref": "b"}, "on"]}, "b": {"==": [{"var": "x"}, 1]}}
        document = with_targeting({"$ref": "a"}, **{"$evaluators": {n: rules[n] for n in names}})
        flags = Evaluator(read(document).flags.values())
        found = flags.evaluate("f", False, kind=Kind.BOOLEAN, attributes={"x": 1})
        assert found.value is True


def test_a_circle_of_references_is_named() -> None:
    evaluators = {"a": {"!": [{"$ref": "b"}]}, "b": {"and": [{"$ref": "a"}, True]}}
    found = mistakes(with_targeting({"$ref": "a"}, **{"$evaluators": evaluators}))
    assert found == {"flags.f.targeting": "$ref goes in a circle: a -> b -> a"}


@pytest.mark.parametrize(
    ("targeting", "place", "said"),
    [
        ({"$ref": "germn"}, "flags.f.targeting", "there is no evaluator"),
        ({"fractonal": []}, "flags.f.targeting", "unknown operation 'fractonal'"),
        ({"if": [{"neq": [1, 2]}, "on"]}, "flags.f.targeting.if[0]", "unknown operation 'neq'"),
        ({"fractional": [["on", 0], ["off", 0]]}, "flags.f.targeting.fractional", "are 0"),
        ({"fractional": [["on", 1.5]]}, "flags.f.targeting.fractional", "weight 1.5"),
        ({"fractional": [["on", -1], ["off", 1]]}, "flags.f.targeting.fractional", "negative"),
        ({"fractional": [["on", 2**31]]}, "flags.f.targeting.fractional", "come to"),
        ({"fractional": [{"var": "x"}]}, "flags.f.targeting.fractional", "no variants"),
        ({"fractional": [["on", 1], "off"]}, "flags.f.targeting.fractional", "part 2"),
        ({"starts_with": ["a"]}, "flags.f.targeting.starts_with", "two texts"),
        ({"sem_ver": ["1", "=>", "2"]}, "flags.f.targeting.sem_ver", "no operator '=>'"),
        ({"sem_ver": ["1", "2"]}, "flags.f.targeting.sem_ver", "takes a version"),
        ({"==": [1, 1], "!=": [1, 2]}, "flags.f.targeting", "several operations"),
    ],
)
def test_a_mistake_in_a_rule_has_its_place(targeting: Any, place: str, said: str) -> None:
    found = mistakes(with_targeting(targeting))
    assert list(found) == [place]
    assert said in found[place]


def test_all_mistakes_are_told_at_once() -> None:
    flags = {
        "a": {"state": "ON", "variants": {}, "defaultVariant": 1},
        "b": {**ON_OFF, "defaultVariant": "onn"},
        "c": {**ON_OFF, "variants": {"on": True, "off": "no"}},
        "d": 7,
        "e": {**ON_OFF, "targetting": {}, "metadata": {"x": []}},
    }
    assert set(mistakes({"flags": flags})) == {
        "flags.a.state",
        "flags.a.variants",
        "flags.a.defaultVariant",
        "flags.b.defaultVariant",
        "flags.c.variants",
        "flags.d",
        "flags.e.targetting",
        "flags.e.metadata.x",
    }


@pytest.mark.parametrize("document", [None, [], {}, {"flags": []}, "flags"])
def test_what_is_no_set_of_flags_is_refused(document: Any) -> None:
    assert list(mistakes(document)) == ["flags"]
