"""Reading events: each mistake has its reason."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.unit.data.streams.test_windows import spec
from triune.core.stream_config import FieldType
from triune.data.streams.model import Happened, Reason, Rejected, read

SPEC = replace(
    spec(),
    fields={
        "k": FieldType.STRING,
        "t": FieldType.TIMESTAMP,
        "i": FieldType.INTEGER,
        "x": FieldType.FLOAT,
        "b": FieldType.BOOLEAN,
    },
)
GOOD = {"k": "a", "t": "2026-01-01T00:00:00Z", "i": 3, "x": 1, "b": True, "more": [1]}


def test_an_event_is_read_with_its_entity_time_and_id() -> None:
    found = read(SPEC, json.dumps(GOOD).encode())
    assert isinstance(found, Happened)
    assert (found.entity, found.time_us, found.id) == (("a",), 1_767_225_600_000_000, "3")
    assert found.fields["x"] == 1.0
    assert "more" not in found.fields


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", Reason.NOT_JSON),
        (b"\xff\xfe", Reason.NOT_JSON),
        (None, Reason.NOT_JSON),
        (b"[1]", Reason.NOT_AN_OBJECT),
        (b"{}", Reason.FIELD_MISSING),
        (json.dumps({**GOOD, "x": None}).encode(), Reason.FIELD_MISSING),
        (json.dumps({**GOOD, "x": "1"}).encode(), Reason.WRONG_TYPE),
        (json.dumps({**GOOD, "x": float("nan")}).encode(), Reason.WRONG_TYPE),
        (json.dumps({**GOOD, "x": True}).encode(), Reason.WRONG_TYPE),
        (json.dumps({**GOOD, "i": 1.5}).encode(), Reason.WRONG_TYPE),
        (json.dumps({**GOOD, "b": 1}).encode(), Reason.WRONG_TYPE),
        (json.dumps({**GOOD, "k": 1}).encode(), Reason.WRONG_TYPE),
        (json.dumps({**GOOD, "t": "yesterday"}).encode(), Reason.WRONG_TYPE),
    ],
)
def test_each_mistake_has_its_reason(value: bytes | None, reason: Reason) -> None:
    found = read(SPEC, value)
    assert isinstance(found, Rejected)
    assert found.reason is reason
    assert found.reason.sentence


def test_a_failing_prepare_function_rejects_the_event_alone() -> None:
    def prepare(event: object) -> dict[str, object]:
        raise ZeroDivisionError("by zero")

    found = read(replace(SPEC, prepare=prepare), json.dumps(GOOD).encode())
    assert found == Rejected(Reason.PREPARE_FAILED, "ZeroDivisionError: by zero")


def test_a_time_may_be_a_number_of_seconds_or_lack_a_zone() -> None:
    for text in (1_767_225_600, "2026-01-01T00:00:00", "2026-01-01T01:00:00+01:00"):
        found = read(SPEC, json.dumps({**GOOD, "t": text}).encode())
        assert isinstance(found, Happened)
        assert found.time_us == 1_767_225_600_000_000
