"""OFREP: every status and body that the protocol names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.flag_servers import SPLIT, flag, flags_of
from triune.delivery.flags.model import Flag
from triune.delivery.flags.server import answers, editions

DE = {"if": [{"==": [{"var": "country"}, "de"]}, SPLIT]}
ODD = Flag("odd", enabled=True, variants={"on": True}, default="on", targeting={"nonsense": [1]})
NOW = editions.first(
    flags_of(
        flag("plain", "on", metadata={"owner": "ads"}),
        flag("split", targeting=SPLIT),
        flag("split-de", targeting=DE),
        flag("off", state="DISABLED"),
        Flag("price", enabled=True, variants={"low": 9.5}, default=None),
        Flag("page", enabled=True, variants={"a": {"t": [1, None]}}, default="a"),
        replace(flag("gone"), targeting={"if": [True, "nobody"]}),
        ODD,
    )
)
OF_SET = {"flagSetId": "shop", "version": NOW.version}


def one(key: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    found = answers.one(NOW, "shop", key, raw)
    return found.status, json.loads(found.body)


def of(unit: str | None, **attributes: Any) -> dict[str, Any]:
    return {"context": ({} if unit is None else {"targetingKey": unit}) | attributes}


def test_a_flag_with_reason_variant_and_metadata() -> None:
    assert one("plain", of("u1")) == (
        200,
        {
            "key": "plain",
            "value": True,
            "variant": "on",
            "reason": "STATIC",
            "metadata": {**OF_SET, "owner": "ads"},
        },
    )
    assert one("page")[1]["value"] == {"t": [1, None]}


def test_the_answer_is_that_of_a_process_of_its_own() -> None:
    for unit in ("u1", "u2", "u3", "u4"):
        status, found = one("split", of(unit))
        ours = NOW.snapshot.flags["split"]
        assert (status, found["reason"]) == (200, "TARGETING_MATCH")
        assert found["value"] is ours.variants[found["variant"]]


@pytest.mark.parametrize(("key", "reason"), [("off", "DISABLED"), ("price", "DEFAULT")])
def test_where_the_caller_decides_there_is_no_value(key: str, reason: str) -> None:
    status, found = one(key, of("u1"))
    assert (status, found["reason"]) == (200, reason)
    assert "value" not in found
    assert found["variant"] == ""


@pytest.mark.parametrize("body", [of(None), of(""), b""])
def test_a_split_without_a_targeting_key_is_an_error(body: Any) -> None:
    status, found = one("split", body)
    assert (status, found["errorCode"]) == (400, "TARGETING_KEY_MISSING")
    assert "targeting key" in found["errorDetails"]


def test_a_targeting_key_is_missed_only_where_it_is_needed() -> None:
    assert one("split-de", of(None, country="fr"))[0] == 200
    assert one("split-de", of(None, country="de"))[1]["errorCode"] == "TARGETING_KEY_MISSING"
    by_mail = {"fractional": [{"var": "mail"}, ["on", 1]]}
    edition = editions.first(flags_of(flag("f", targeting=by_mail)))
    assert json.loads(answers.one(edition, "shop", "f", b"{}").body)["variant"] == "off"


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        ("none", of("u1"), 404, "FLAG_NOT_FOUND"),
        ("plain", b'{"context', 400, "PARSE_ERROR"),
        ("plain", b"\xff\xfe", 400, "PARSE_ERROR"),
        ("plain", b"[" * 100_000, 400, "PARSE_ERROR"),
        ("plain", b'{"context": NaN}', 400, "PARSE_ERROR"),
        ("plain", b"[]", 400, "INVALID_CONTEXT"),
        ("plain", {"context": "u1"}, 400, "INVALID_CONTEXT"),
        ("plain", {"context": {"targetingKey": 17}}, 400, "INVALID_CONTEXT"),
        ("odd", of("u1"), 400, "PARSE_ERROR"),
        ("gone", of("u1"), 400, "GENERAL"),
    ],
)
def test_errors_are_the_protocols(key: str, body: Any, status: int, code: str) -> None:
    found = one(key, body)
    assert (found[0], found[1]["key"], found[1]["errorCode"]) == (status, key, code)
    assert found[1]["errorDetails"]


def test_a_rule_that_cannot_be_made_ready_is_that_flags_own_error() -> None:
    odd = replace(flag(), key="\ud800", targeting=SPLIT)
    edition = editions.first(flags_of(odd, flag("plain")))
    assert json.loads(answers.one(edition, "shop", "\ud800", b"{}").body)["errorCode"]
    assert answers.one(edition, "shop", "plain", b"{}").status == 200


def test_all_flags_at_once_each_with_its_own_error() -> None:
    answer = answers.every(NOW, "shop", json.dumps(of(None)).encode(), None)
    found = json.loads(answer.body)
    assert (answer.status, found["metadata"]) == (200, OF_SET)
    by_key = {one["key"]: one for one in found["flags"]}
    assert by_key.keys() == NOW.snapshot.flags.keys()
    assert by_key["split"]["errorCode"] == "TARGETING_KEY_MISSING"
    assert by_key["plain"]["value"] is True
    assert sum(answer.counted.values()) == len(by_key)


def test_the_same_answers_are_not_sent_twice() -> None:
    body = json.dumps(of("u1")).encode()
    etag = answers.every(NOW, "shop", body, None).etag
    for named in (etag, f'"x", W/{etag}', "*"):
        again = answers.every(NOW, "shop", body, named)
        assert (again.status, again.body, again.etag) == (304, b"", etag)
    others = json.dumps(of("u1", country="de")).encode()
    assert answers.every(NOW, "shop", others, etag).status == 200
    assert answers.every(NOW, "shop", body, '"x"').status == 200


def test_a_bad_request_for_all_flags() -> None:
    answer = answers.every(NOW, "shop", b"{", None)
    assert (answer.status, json.loads(answer.body)["errorCode"]) == (400, "PARSE_ERROR")
