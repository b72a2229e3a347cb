"""The OpenFeature SDK with our flags behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from triune.delivery.flags.definitions import read
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.provider import TriuneProvider


def flags(**variants: Any) -> Evaluator:
    definition = {"state": "ENABLED", "variants": variants, "defaultVariant": next(iter(variants))}
    targeting = {"if": [{"==": [{"var": "plan"}, "pro"]}, "pro"]}
    return Evaluator(read({"flags": {"f": definition | {"targeting": targeting}}}).flags.values())


@pytest.fixture
def held() -> Iterator[dict[str, Evaluator]]:
    current = {"flags": flags(free=False, pro=True)}
    api.set_provider(TriuneProvider(lambda: current["flags"]), domain="test")
    yield current
    api.clear_providers()


def client() -> OpenFeatureClient:
    return api.get_client("test")


PRO = EvaluationContext("u1", {"plan": "pro"})


@pytest.mark.parametrize(
    ("kind", "free", "pro", "default"),
    [
        ("boolean", False, True, False),
        ("string", "a", "b", "c"),
        ("integer", 1, 2, 3),
        ("float", 0.5, 2, 1.5),
        ("object", {"a": 1}, {"b": [2]}, {}),
    ],
)
def test_every_type_by_the_context(
    held: dict[str, Evaluator], kind: str, free: Any, pro: Any, default: Any
) -> None:
    held["flags"] = flags(free=free, pro=pro)
    evaluate = getattr(client(), f"get_{kind}_details")
    found = evaluate("f", default, PRO)
    assert (found.value, found.variant, found.reason) == (pro, "pro", "TARGETING_MATCH")
    assert evaluate("f", default).value == free
    gone = evaluate("gone", default)
    assert (gone.value, gone.error_code) == (default, ErrorCode.FLAG_NOT_FOUND)


def test_a_change_is_seen_by_the_next_call(held: dict[str, Evaluator]) -> None:
    assert client().get_boolean_value("f", True) is False
    held["flags"] = flags(free=True, pro=True)
    assert client().get_boolean_value("f", False) is True


def test_a_wrong_type_gives_the_default_and_says_so(held: dict[str, Evaluator]) -> None:
    found = client().get_string_details("f", "mine")
    assert (found.value, found.error_code) == ("mine", ErrorCode.TYPE_MISMATCH)
