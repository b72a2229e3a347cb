"""An application answering in process: granian's scope and transport, without granian."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from triune.core.config import Datatype
from triune.models.serving.application import Application
from triune.models.serving.board import Board
from triune.models.serving.engine import Bound, Engine
from triune.models.serving.protocol.contract import Contract
from triune.models.serving.spec import ModelFile, ServingSpec
from triune.models.serving.tensors import SINGLE_PRECISION, Layout, TensorSpec, Values

COLUMNS = (
    TensorSpec("distance", Datatype.FP64),
    TensorSpec("hour", Datatype.INT64),
    TensorSpec("rain", Datatype.BOOL),
    TensorSpec("carrier", Datatype.BYTES),
    TensorSpec("wind", Datatype.FP32, 3),
)


class Sums:
    """A model that gives the row's number and the sum of its numeric inputs."""

    form = "sums"
    layout = Layout.COLUMNS
    main_output = "label"
    largest = SINGLE_PRECISION
    outputs = (TensorSpec("label", Datatype.INT64), TensorSpec("score", Datatype.FP64))

    def __init__(self, inputs: Sequence[TensorSpec] = COLUMNS) -> None:
        self.inputs = tuple(inputs)

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        totals = [0.0] * rows
        for spec, values in zip(self.inputs, inputs, strict=True):
            if spec.datatype is not Datatype.BYTES:
                for place, value in enumerate(values):
                    totals[place // spec.width] += float(value)
        return [list(range(rows)), totals]


@dataclass
class Reply:
    """What went out."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class _Transport:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.reply = Reply(0, {}, b"")

    async def __call__(self) -> bytes:
        return self._body

    async def _pieces(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 1000):
            yield self._body[start : start + 1000]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.reply = Reply(status, dict(headers), body)


@dataclass
class _Scope:
    method: str
    path: str
    headers: dict[str, str]
    proto: str = "http"


class InProcess:
    """One application over a model, asked without a socket."""

    def __init__(self, model: Any = None, *, fallback: Any = None, **settings: Any) -> None:
        model = model or Sums()
        self.spec = ServingSpec(
            endpoint="tiny/model",
            model_name="tiny-model",
            arm="stable",
            release="release:tiny-model@0123456789ab",
            model=ModelFile(ref="model:tiny@3", path=_HERE, digest="", public_key=_HERE),
            port=1,
            **({"max_body_bytes": 20_000, "max_rows": 50} | settings),
        )
        self.contract = Contract(
            self.spec.inputs or model.inputs,
            layout=model.layout,
            max_rows=self.spec.max_rows,
            largest=model.largest,
        )
        self.board = Board(1)
        self.engine = Engine(
            Bound(model, self.contract),
            Bound(fallback, self.contract) if fallback is not None else None,
            deadline_ms=self.spec.deadline_ms,
            inline=True,
            max_pending=self.spec.max_pending,
        )
        self.application = Application(self.spec, self.contract, self.engine, self.board.take_row())

    def ask(
        self,
        method: str = "POST",
        path: str = "/v2/models/tiny-model/infer",
        body: Any = b"",
        *,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
    ) -> Reply:
        """The reply to one request; a body that is not bytes is sent as JSON."""
        return asyncio.run(self.reply(method, path, body, headers=headers, chunked=chunked))

    async def reply(
        self,
        method: str = "POST",
        path: str = "/v2/models/tiny-model/infer",
        body: Any = b"",
        *,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
    ) -> Reply:
        """The same, inside a running event loop."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json"}
        if not chunked:
            given["content-length"] = str(len(raw))
        transport = _Transport(raw)
        scope = _Scope(method, path, given | (headers or {}))
        await self.application.__rsgi__(scope, transport)
        return transport.reply


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    """One input of an ``infer`` body."""
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def good_inputs(rows: int = 1) -> list[dict[str, Any]]:
    """All of `COLUMNS`, well formed."""
    return [
        tensor("distance", "FP64", [rows], [1.5] * rows),
        tensor("hour", "INT64", [rows, 1], [2] * rows),
        tensor("rain", "BOOL", [rows], [True] * rows),
        tensor("carrier", "BYTES", [rows], ["AA"] * rows),
        tensor("wind", "FP32", [rows, 3], [0.5, 0.25, 1] * rows),
    ]


def changed(name: str, /, **fields: Any) -> dict[str, Any]:
    """A good body with one input's fields replaced."""
    inputs = good_inputs()
    for item in inputs:
        if item["name"] == name:
            item.update(fields)
    return {"inputs": inputs}


def _here() -> Any:
    from pathlib import Path

    return Path(__file__)


_HERE = _here()
