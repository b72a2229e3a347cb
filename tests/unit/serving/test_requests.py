"""Bad requests: each gets its own reference and a 4xx, good ones an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.requests import InProcess, changed, good_inputs, tensor

BIG = "9" * 5000


@pytest.fixture(scope="module")
def server() -> InProcess:
    return InProcess()


def test_a_good_request_is_answered_with_all_headers(server: InProcess) -> None:
    reply = server.ask(body={"id": "mine", "inputs": good_inputs(2)})
    assert reply.status == 200
    answer = reply.json()
    assert answer["model_name"] == "tiny-model"
    assert answer["model_version"] == "3"
    assert answer["id"] == "mine"
    assert answer["outputs"] == [
        {"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 1]},
        {"name": "score", "datatype": "FP64", "shape": [2], "data": [6.25, 6.25]},
    ]
    assert reply.headers["x-triune-release"] == "release:tiny-model@0123456789ab"
    assert reply.headers["x-triune-arm"] == "stable"
    assert len(reply.headers["x-triune-prediction"]) == 36
    assert "x-triune-degraded" not in reply.headers


def test_prediction_ids_are_ours_and_new_each_time(server: InProcess) -> None:
    first, second = (
        server.ask(body={"inputs": good_inputs()}, headers={"x-triune-prediction": "chosen"})
        for _ in range(2)
    )
    ids = [first.headers["x-triune-prediction"], second.headers["x-triune-prediction"]]
    assert ids == sorted(set(ids))
    assert "chosen" not in ids
    assert first.json()["id"] == ids[0]


def test_inputs_may_come_in_any_order_and_nested(server: InProcess) -> None:
    inputs = list(reversed(good_inputs(2)))
    inputs[0]["data"] = [[0.5, 0.25, 1], [0.5, 0.25, 1]]
    assert server.ask(body={"inputs": inputs}).json()["outputs"][1]["data"] == [6.25, 6.25]


def test_only_the_outputs_asked_for(server: InProcess) -> None:
    body = {"inputs": good_inputs(), "outputs": [{"name": "score", "parameters": {}}]}
    assert [o["name"] for o in server.ask(body=body).json()["outputs"]] == ["score"]


def _good(**more: Any) -> dict[str, Any]:
    return {"inputs": good_inputs()} | more


BAD: list[tuple[str, Any]] = [
    ("body-not-json", b""),
    ("body-not-json", b"{"),
    ("body-not-json", b"{'a': 1}"),
    ("body-not-json", b'{"inputs": []} trailing'),
    ("body-not-utf8", b'{"inputs": "\xff"}'),
    ("body-not-utf8", b'{"\xc3": 1}'),
    ("body-too-deep", b"[" * 9000),
    ("body-too-deep", b'{"inputs":' * 1500),
    ("request-invalid", b"[]"),
    ("request-invalid", b"null"),
    ("request-invalid", b"3"),
    ("request-invalid", {}),
    ("request-invalid", {"inputs": None}),
    ("request-invalid", {"inputs": {}}),
    ("request-invalid", {"inputs": ["distance"]}),
    ("request-invalid", _good(id=3)),
    ("request-invalid", _good(parameters=[])),
    ("request-invalid", _good(outputs={})),
    ("request-invalid", _good(outputs=[3])),
    ("request-invalid", _good(ouputs=[])),
    ("request-invalid", changed("hour", name=3)),
    ("request-invalid", changed("hour", data=3)),
    ("request-invalid", changed("hour", data=None)),
    ("request-invalid", changed("hour", extra=3)),
    ("request-invalid", changed("hour", parameters=3)),
    ("request-invalid", {"inputs": [{"name": "hour"}]}),
    ("request-invalid", {"inputs": [{"shape": [1]}]}),
    ("output-unknown", _good(outputs=[{"name": "scroe"}])),
    ("output-unknown", _good(outputs=[{"name": 3}])),
    ("input-missing", {"inputs": []}),
    ("input-missing", {"inputs": good_inputs()[1:]}),
    ("input-unknown", {"inputs": [*good_inputs(), tensor("wnd", "FP64", [1], [1])]}),
    ("input-duplicate", {"inputs": [*good_inputs(), good_inputs()[0]]}),
    ("input-duplicate", {"inputs": [good_inputs()[0]] * 5}),
    ("datatype-mismatch", changed("distance", datatype="FP32")),
    ("datatype-mismatch", changed("distance", datatype="fp64")),
    ("datatype-mismatch", changed("distance", datatype=None)),
    ("shape-mismatch", changed("distance", shape=[1, 2])),
    ("shape-mismatch", changed("distance", shape=[])),
    ("shape-mismatch", changed("distance", shape=[1, 1, 1])),
    ("shape-mismatch", changed("distance", shape=["1"])),
    ("shape-mismatch", changed("distance", shape=[1.0])),
    ("shape-mismatch", changed("distance", shape=[True])),
    ("shape-mismatch", changed("distance", shape=1)),
    ("shape-mismatch", changed("distance", shape=None)),
    ("shape-mismatch", changed("wind", shape=[3])),
    ("shape-mismatch", changed("wind", shape=[3, 1])),
    ("shape-mismatch", {"inputs": [*good_inputs(2)[:1], *good_inputs(1)[1:]]}),
    ("batch-empty", {"inputs": good_inputs(0)}),
    ("batch-empty", changed("distance", shape=[-1])),
    ("rows-too-many", {"inputs": good_inputs(51)}),
    ("rows-too-many", changed("distance", shape=[10**30])),
    ("data-length-mismatch", changed("distance", data=[])),
    ("data-length-mismatch", changed("distance", data=[1, 2])),
    ("data-length-mismatch", changed("wind", data=[1, 2])),
    ("data-length-mismatch", changed("wind", data=[[1, 2, 3], [1, 2, 3]])),
    ("data-length-mismatch", changed("wind", data=[[1, 2]])),
    ("value-wrong-type", changed("wind", data=[1, [2], 3])),
    ("value-wrong-type", changed("distance", data=["1.5"])),
    ("value-wrong-type", changed("distance", data=["NaN"])),
    ("value-wrong-type", changed("distance", data=[None])),
    ("value-wrong-type", changed("distance", data=[True])),
    ("value-wrong-type", changed("distance", data=[{}])),
    ("value-wrong-type", changed("hour", data=[1.0])),
    ("value-wrong-type", changed("hour", data=[True])),
    ("value-wrong-type", changed("rain", data=[1])),
    ("value-wrong-type", changed("carrier", data=[1])),
    ("value-not-finite", changed("distance", data=[float("nan")])),
    ("value-not-finite", changed("distance", data=[float("-inf")])),
    (
        "value-not-finite",
        json.dumps(changed("distance", data=[77])).replace("77", "1e999").encode(),
    ),
    ("value-not-finite", json.dumps(changed("distance", data=[77])).replace("77", BIG).encode()),
    ("value-out-of-range", changed("distance", data=[1e200])),
    ("value-out-of-range", changed("distance", data=[10**300])),
    ("value-out-of-range", changed("distance", data=[10**400])),
    ("value-out-of-range", changed("wind", data=[1, 1e39, 1])),
    ("value-out-of-range", changed("hour", data=[2**63])),
    ("value-out-of-range", changed("hour", data=[-(10**100)])),
]


@pytest.mark.parametrize(
    ("reference", "body"), BAD, ids=[f"{place}-{name}" for place, (name, _) in enumerate(BAD)]
)
def test_bad_infer_bodies(server: InProcess, reference: str, body: Any) -> None:
    reply = server.ask(body=body)
    assert (reply.status, reply.json()["error"]) == (400, reference)
    assert set(reply.json()) == {"error", "message", "hint"}
    assert reply.json()["hint"]
    assert reply.headers["x-triune-prediction"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("path", ["/v2/models/tiny-model/infer", "/invocations"])
def test_other_content_types_are_refused(server: InProcess, kind: str, path: str) -> None:
    reply = server.ask(path=path, body=_good(), headers={"content-type": kind})
    assert (reply.status, reply.json()["error"]) == (415, "content-type-unsupported")


def test_a_charset_is_no_obstacle(server: InProcess) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert server.ask(body=_good(), headers=headers).status == 200


@pytest.mark.parametrize("chunked", [True, False])
def test_oversized_bodies_are_refused_declared_or_not(server: InProcess, chunked: bool) -> None:
    reply = server.ask(body=b" " * 20_001, chunked=chunked)
    assert (reply.status, reply.json()["error"]) == (413, "body-too-large")
    assert server.ask(body=_good(), chunked=chunked).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "reference"),
    [
        ("GET", "/v2/models/tiny-model/infer", 405, "method-not-allowed"),
        ("PUT", "/invocations", 405, "method-not-allowed"),
        ("DELETE", "/v2/models/tiny-model", 405, "method-not-allowed"),
        ("POST", "/v2/health/ready", 405, "method-not-allowed"),
        ("GET", "/v2/models/other", 404, "model-unknown"),
        ("POST", "/v2/models/other/infer", 404, "model-unknown"),
        ("POST", "/v2/models/tiny-model/versions/4/infer", 404, "model-unknown"),
        ("GET", "/", 404, "route-unknown"),
        ("POST", "/v2/models/tiny-model/infer/", 404, "model-unknown"),
        ("GET", "/v2/../etc/passwd", 404, "route-unknown"),
    ],
)
def test_wrong_routes(
    server: InProcess, method: str, path: str, status: int, reference: str
) -> None:
    reply = server.ask(method, path)
    assert (reply.status, reply.json()["error"]) == (status, reference)
    assert reply.headers["x-triune-release"]
    if status == 405:
        assert reply.headers["allow"]


def test_metadata_tells_what_to_send(server: InProcess) -> None:
    for path in ("/v2/models/tiny-model", "/v2/models/tiny-model/versions/3"):
        described = server.ask("GET", path).json()
        assert described["versions"] == ["3"]
        assert described["inputs"][4] == {"name": "wind", "datatype": "FP32", "shape": [-1, 3]}
    assert server.ask("GET", "/v2").json()["name"] == "triune"
    assert server.ask("GET", "/v2/health/live").status == 200
    assert server.ask("HEAD", "/v2/health/ready").body == b""


def test_a_draining_server_is_alive_but_not_ready_and_closes_connections() -> None:
    server = InProcess()
    assert server.ask("GET", "/v2/health/ready").status == 200
    server.board.drain()
    for path in ("/v2/health/ready", "/v2/models/tiny-model/ready"):
        assert server.ask("GET", path).status == 503
    assert server.ask("GET", "/v2/health/live").status == 200
    reply = server.ask(body=_good())
    assert reply.status == 200
    assert reply.headers["connection"] == "close"
