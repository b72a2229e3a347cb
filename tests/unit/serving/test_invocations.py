"""MLflow's ``/invocations``: every format gives the same answer; bad ones are refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.requests import InProcess, Sums
from triune.core.config import Datatype
from triune.models.serving.tensors import Layout, TensorSpec

ROWS = [
    {"distance": 1.5, "hour": 2, "rain": True, "carrier": "AA", "wind": [0.5, 0.25, 1]},
    {"distance": -1, "hour": 0, "rain": False, "carrier": "", "wind": [0, 0, 0]},
]
NAMES = list(ROWS[0])
SPLIT = {"columns": NAMES, "index": [0, 1], "data": [list(row.values()) for row in ROWS]}
COLUMNS = {name: [row[name] for row in ROWS] for name in NAMES}


class Echo(Sums):
    """Its main output is the sum."""

    main_output = "score"


class Tensor(Echo):
    """Takes one tensor of width 2."""

    layout = Layout.TENSOR

    def __init__(self) -> None:
        super().__init__((TensorSpec("input-0", Datatype.FP64, 2),))


@pytest.fixture(scope="module")
def server() -> InProcess:
    return InProcess(Echo())


@pytest.fixture(scope="module")
def tensors() -> InProcess:
    return InProcess(Tensor())


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_records": ROWS},
        {"inputs": COLUMNS},
        {"instances": ROWS},
        {"dataframe_records": ROWS, "params": {"a": 1}},
    ],
)
def test_every_format_of_columns(server: InProcess, body: Any) -> None:
    reply = server.ask(path="/invocations", body=body)
    assert (reply.status, reply.json()) == (200, {"predictions": [6.25, -1.0]})
    assert reply.headers["x-triune-prediction"]


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [[1, 2], [3, 4.5]]},
        {"instances": [[1, 2], [3, 4.5]]},
        {"inputs": {"input-0": [[1, 2], [3, 4.5]]}},
        {"dataframe_split": {"data": [[1, 2], [3, 4.5]]}},
    ],
)
def test_every_format_of_a_tensor(tensors: InProcess, body: Any) -> None:
    reply = tensors.ask(path="/invocations", body=body)
    assert (reply.status, reply.json()) == (200, {"predictions": [3.0, 7.5]})


def test_csv(server: InProcess, tensors: InProcess) -> None:
    csv = {"content-type": "text/csv"}
    reply = tensors.ask(path="/invocations", body=b"a,b\n1,2\n3,4.5\n", headers=csv)
    assert reply.json() == {"predictions": [3.0, 7.5]}
    narrow = InProcess(Echo((TensorSpec("x", Datatype.FP64), TensorSpec("on", Datatype.BOOL))))
    reply = narrow.ask(path="/invocations", body=b"on,x\ntrue,2\n0,1e2\n", headers=csv)
    assert reply.json() == {"predictions": [3.0, 100.0]}


BAD: list[tuple[str, Any]] = [
    ("request-invalid", []),
    ("request-invalid", {}),
    ("request-invalid", {"instances": ROWS, "inputs": COLUMNS}),
    ("request-invalid", {"instances": ROWS, "extra": 1}),
    ("request-invalid", {"instances": 3}),
    ("request-invalid", {"instances": [[1, 2]]}),
    ("request-invalid", {"instances": [{}, 3]}),
    ("request-invalid", {"inputs": 3}),
    ("request-invalid", {"inputs": COLUMNS | {"hour": 3}}),
    ("request-invalid", {"dataframe_split": []}),
    ("request-invalid", {"dataframe_split": {"data": []}}),
    ("request-invalid", {"dataframe_split": SPLIT | {"extra": 1}}),
    ("request-invalid", {"dataframe_split": SPLIT | {"columns": [[1]]}}),
    ("request-invalid", {"dataframe_records": {}}),
    ("batch-empty", {"dataframe_records": []}),
    ("batch-empty", {"dataframe_split": SPLIT | {"data": []}}),
    ("batch-empty", {"inputs": {name: [] for name in NAMES}}),
    ("rows-too-many", {"dataframe_records": ROWS * 26}),
    ("input-missing", {"dataframe_records": [{}]}),
    ("input-missing", {"dataframe_records": [ROWS[0], {"hour": 1}]}),
    ("input-unknown", {"dataframe_records": [ROWS[0] | {"": 1}]}),
    ("input-unknown", {"inputs": COLUMNS | {"huor": [1, 2]}}),
    ("input-duplicate", {"dataframe_split": {"columns": ["hour", "hour"], "data": [[1, 2]]}}),
    ("data-length-mismatch", {"dataframe_split": {"columns": NAMES, "data": [[1]]}}),
    ("data-length-mismatch", {"dataframe_split": {"columns": NAMES, "data": [3]}}),
    ("shape-mismatch", {"inputs": COLUMNS | {"hour": [1]}}),
    ("shape-mismatch", {"inputs": COLUMNS | {"wind": [1, 2]}}),
    ("shape-mismatch", {"inputs": COLUMNS | {"hour": [1, [2]]}}),
    ("value-wrong-type", {"inputs": COLUMNS | {"hour": [1, 2.5]}}),
    ("value-wrong-type", {"inputs": COLUMNS | {"distance": [1, None]}}),
    ("value-not-finite", {"inputs": COLUMNS | {"distance": [1, float("nan")]}}),
    ("value-out-of-range", {"inputs": COLUMNS | {"distance": [1, 1e35]}}),
    ("body-not-json", b"distance\n1"),
]


@pytest.mark.parametrize(
    ("reference", "body"), BAD, ids=[f"{place}-{name}" for place, (name, _) in enumerate(BAD)]
)
def test_bad_bodies(server: InProcess, reference: str, body: Any) -> None:
    reply = server.ask(path="/invocations", body=body)
    assert (reply.status, reply.json()["error"]) == (400, reference)


@pytest.mark.parametrize(
    ("reference", "body"),
    [
        ("body-not-utf8", b"a,b\n\xff,2"),
        ("batch-empty", b""),
        ("batch-empty", b"a,b\n"),
        ("value-wrong-type", b"a,b\none,2"),
        ("value-not-finite", b"a,b\nnan,2"),
        ("shape-mismatch", b"a,b\n1,2,3"),
        ("body-not-csv", b'a,b\n"1'),
    ],
)
def test_bad_csv(tensors: InProcess, reference: str, body: bytes) -> None:
    reply = tensors.ask(path="/invocations", body=body, headers={"content-type": "text/csv"})
    assert (reply.status, reply.json()["error"]) == (400, reference)
