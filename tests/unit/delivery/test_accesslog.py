"""Lines of the access log, and the events they become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from triune.core.ids import new_id, time_of
from triune.delivery.accesslog import Sort, identifier, parse, sort, to_event
from triune.ledger.envelope import Edge

RELEASE = "release:flights-delay@0123456789ab"
START = 1_795_367_686_973_532


def line(**changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "start_us": str(START),
        "status": 200,
        "method": "POST",
        "path": "/flights/delay/v2/models/flights-delay/infer",
        "endpoint": "flights/delay",
        "unit": "N725MQ",
        "request": "c26319b7-2491-4312-b8b7-d9e24bc7c843",
        "flags": "-",
        "duration_us": 2764,
        "upstream": "arm-flights-delay-blue-0123456789ab",
        "upstream_release": RELEASE,
        "upstream_arm": "stable",
        "prediction": None,
        "release": RELEASE,
        "arm": "stable",
        "degraded": None,
    }
    return json.dumps(fields | changed).encode()


def event_of(raw: bytes) -> Any:
    parsed = parse(raw)
    assert parsed is not None
    return to_event(parsed, raw, "flights")


def test_an_answer_becomes_an_exposure_with_its_lineage() -> None:
    prediction = new_id()
    made = event_of(line(prediction=prediction, degraded="true"))
    assert (made.id, made.kind, made.subject) == (
        prediction,
        "prediction.served",
        f"prediction:{prediction}",
    )
    assert made.time == START
    assert made.edges == (Edge(f"prediction:{prediction}", RELEASE, "release"),)
    assert made.payload == {
        "endpoint": "flights/delay",
        "release": RELEASE,
        "arm": "stable",
        "unit": "N725MQ",
        "status": 200,
        "duration_ms": 2.764,
        "degraded": True,
    }


@pytest.mark.parametrize("status", [200, 500])
def test_which_worker_answered_is_told_where_it_is_known(status: int) -> None:
    made = event_of(line(prediction=new_id(), status=status, instance="1"))
    assert made.payload["instance"] == "1"
    for unknown in (None, "", "-", "one", "1234567"):
        made = event_of(line(prediction=new_id(), status=status, instance=unknown))
        assert "instance" not in made.payload


def test_a_5xx_without_a_prediction_is_filed_under_the_release_that_was_asked() -> None:
    made = event_of(line(status=503, flags="UF", release=None))
    assert (made.kind, made.subject) == ("request.failed", RELEASE)
    assert (made.payload["status"], made.payload["flags"]) == (503, "UF")
    assert made.edges == ()


def test_a_failed_answer_is_found_under_its_prediction_id() -> None:
    prediction = new_id()
    made = event_of(line(status=500, prediction=prediction))
    assert (made.id, made.kind, made.subject) == (prediction, "request.failed", RELEASE)


def test_a_failure_without_any_release_is_filed_under_its_endpoint() -> None:
    made = event_of(line(status=503, release=None, upstream_release=None))
    assert made.subject == "endpoint:flights-delay"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"prediction": new_id()}, Sort.SERVED),
        ({"prediction": new_id(), "status": 500}, Sort.FAILED),
        ({"prediction": new_id(), "status": 415}, Sort.REJECTED),
        ({"prediction": "not an id", "status": 200}, Sort.OTHER),
        ({"status": 504}, Sort.FAILED),
        ({"status": 404}, Sort.REJECTED),
        ({"status": 0, "flags": "DC"}, Sort.ABANDONED),
        ({"status": 200, "method": "GET"}, Sort.OTHER),
    ],
)
def test_what_became_of_a_request(changed: dict[str, Any], expected: Sort) -> None:
    parsed = parse(line(**changed))
    assert parsed is not None
    assert sort(parsed) is expected


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"status": 200}', b"\xff\xfe", line(start_us="soon"), b"null"]
)
def test_a_malformed_line_is_none(raw: bytes) -> None:
    assert parse(raw) is None


def test_a_line_written_behind_a_torn_one_is_not_lost() -> None:
    prediction = new_id()
    torn = line(unit='a "quoted" unit')
    for length in (1, 10, 200, len(torn) - 1):
        parsed = parse(torn[:length] + line(prediction=prediction))
        assert parsed is not None
        assert parsed.prediction == prediction


def test_the_same_failure_has_the_same_id_and_another_one_another() -> None:
    one, other = line(status=503), line(status=503, request="another")
    parsed = parse(one)
    assert parsed is not None
    assert identifier(parsed, one) == identifier(parsed, one) != identifier(parsed, other)
    assert int(time_of(identifier(parsed, one)).timestamp() * 1000) == START // 1000
