"""Whatever is sent, the server answers 200 or a typed 4xx, and both decoders agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.requests import COLUMNS, InProcess, good_inputs
from triune.models.serving.faults import Fault
from triune.models.serving.protocol.oip import _Slow

SERVER = InProcess()
OUTPUTS = frozenset({"label", "score"})

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([c.name for c in COLUMNS] + ["FP64", "INT64", "FP32", "BOOL", "BYTES"]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
inputs = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(st.sampled_from([c.name for c in COLUMNS]), anything),
        "shape": st.one_of(st.lists(st.integers(-1, 4), max_size=3), anything),
        "datatype": st.one_of(
            st.sampled_from(["FP64", "FP32", "INT64", "BOOL", "BYTES"]), anything
        ),
        "data": anything,
        "parameters": anything,
    },
)


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A good body with something replaced, added or left out."""
    body: dict[str, Any] = {"inputs": good_inputs(draw(st.integers(0, 3)))}
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(COLUMNS) - 1))
        field = draw(st.sampled_from(["name", "shape", "datatype", "data", "parameters"]))
        value = draw(anything)
        if place < len(body["inputs"]):
            body["inputs"][place][field] = value
        if draw(st.booleans()):
            body["inputs"].insert(place, draw(inputs))
    if draw(st.booleans()):
        body[draw(st.sampled_from(["id", "outputs", "parameters", "other"]))] = draw(anything)
    return body


def check(raw: bytes, path: str) -> None:
    reply = SERVER.ask(path=path, body=raw)
    assert reply.status in (200, 400, 413)
    assert reply.headers["x-triune-prediction"]
    answer = reply.json()
    if reply.status != 200:
        assert set(answer) == {"error", "message", "hint"}
        assert all(isinstance(value, str) and value for value in answer.values())


@pytest.mark.parametrize("path", ["/v2/models/tiny-model/infer", "/invocations"])
@given(raw=st.binary(max_size=300))
@example(raw=b"[" * 20_000)
@example(raw=b'{"a":' * 4_000)
@example(raw=b'{"inputs":[' + b"1," * 9_000)
@example(raw=b'"\\ud800"')
@example(raw=b"\x00")
def test_bytes(path: str, raw: bytes) -> None:
    check(raw, path)


@pytest.mark.parametrize("path", ["/v2/models/tiny-model/infer", "/invocations"])
@given(body=anything)
def test_any_json(path: str, body: Any) -> None:
    check(json.dumps(body).encode(), path)


@given(body=spoilt())
def test_spoilt_infer_bodies(body: dict[str, Any]) -> None:
    check(json.dumps(body).encode(), "/v2/models/tiny-model/infer")


@given(
    name=st.sampled_from(["dataframe_split", "dataframe_records", "inputs", "instances"]),
    body=st.one_of(
        anything,
        st.lists(st.dictionaries(st.sampled_from([c.name for c in COLUMNS]), scalars)),
        st.dictionaries(st.sampled_from([c.name for c in COLUMNS]), st.lists(anything, max_size=3)),
        st.fixed_dictionaries(
            {"columns": st.permutations([c.name for c in COLUMNS]), "data": st.lists(anything)}
        ),
    ),
)
def test_invocation_bodies(name: str, body: Any) -> None:
    check(json.dumps({name: body}).encode(), "/invocations")


@given(body=spoilt())
def test_the_two_decoders_agree(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    quick = slow = None
    try:
        quick = SERVER.application._oip.decode(raw)
    except Fault as fault:
        quick = fault.reference
    try:
        slow = _Slow(SERVER.contract, OUTPUTS).decode(raw)
    except Fault as fault:
        slow = fault.reference
    assert quick == slow
    assert repr(quick) == repr(slow)  # 1 == 1.0 == True, but they are not the same answer


@given(
    distance=st.floats(-1e30, 1e30, allow_subnormal=True),
    hour=st.integers(-(2**63), 2**63 - 1),
    carrier=st.text(),
)
def test_every_value_of_the_datatype_gets_through(distance: float, hour: int, carrier: str) -> None:
    body = good_inputs()
    body[0]["data"], body[1]["data"], body[3]["data"] = [distance], [hour], [carrier]
    try:
        request = SERVER.application._oip.decode(json.dumps({"inputs": body}).encode())
    except Fault as fault:
        assert fault.reference in ("body-not-json", "body-not-utf8")
        assert any(0xD800 <= ord(letter) <= 0xDFFF for letter in carrier)
        return
    assert request.values[:2] == [[distance], [hour]]
    assert request.values[3] == [carrier]
