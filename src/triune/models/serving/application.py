"""The RSGI application of one worker: routes, bodies, status and headers.

Every answer carries ``x-triune-release``, ``x-triune-arm`` and ``x-triune-instance``, the number
of the worker that gave it; every answer to a prediction request, refusals and failures included,
also ``x-triune-prediction``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import msgspec

from triune.core.ids import key_of, new_id
from triune.models.serving.board import Row
from triune.models.serving.engine import Answer, Engine
from triune.models.serving.exposition import exposition
from triune.models.serving.faults import Fault, bad_request, too_large
from triune.models.serving.filling import HEADER, Filler
from triune.models.serving.metadata import model_metadata, server_metadata
from triune.models.serving.protocol.answers import OipAnswers, encode_invocation
from triune.models.serving.protocol.contract import Contract, Request
from triune.models.serving.protocol.invocations import InvocationDecoder
from triune.models.serving.protocol.oip import OipDecoder
from triune.models.serving.samples import REQUEST_HEADER, SHADOW_HEADER, Samples
from triune.models.serving.shared import SharedFile
from triune.models.serving.spec import ServingSpec

log = logging.getLogger("triune.serving")

Headers = list[tuple[str, str]]
_JSON = ("content-type", "application/json")


class Scope(Protocol):
    """What granian tells about a request."""

    proto: str
    method: str
    path: str
    headers: Any


class Transport(Protocol):
    """Granian's way to read the body and to answer."""

    def __call__(self) -> Awaitable[bytes]: ...
    def __aiter__(self) -> Any: ...
    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One protocol: how its bodies are read and its answers written."""

    read: Callable[[str | None, bytes], Request]
    write: Callable[[Request, Answer, str], bytes]


class Application:
    """Answers for one release, with one engine."""

    def __init__(
        self,
        spec: ServingSpec,
        contract: Contract,
        engine: Engine,
        row: Row,
        filler: Filler | None = None,
    ) -> None:
        self._spec = spec
        self.engine = engine
        self._row = row
        self._board = row.board
        self._contract = contract
        self._filler = filler
        self._limit = spec.max_body_bytes
        version = key_of(spec.model.ref).partition("@")[2] or "1"
        outputs = [output.name for output in engine.primary.outputs]
        self._oip = OipDecoder(contract, outputs)
        self._invocations = InvocationDecoder(contract)
        self._answers = OipAnswers(spec.model_name, version)
        self._common: Headers = [
            ("x-triune-release", spec.release),
            ("x-triune-arm", spec.arm),
            ("x-triune-instance", str(row.index)),
        ]
        self._samples = _samples(spec, engine, row)
        self._get, self._post = self._routes(version)

    def _routes(
        self, version: str
    ) -> tuple[dict[str, Callable[[Scope], tuple[int, Headers, bytes]]], dict[str, Dialect]]:
        model = f"/v2/models/{self._spec.model_name}"
        described = msgspec.json.encode(
            model_metadata(self._spec, version, self._contract, self.engine)
        )
        server = msgspec.json.encode(server_metadata())
        get: dict[str, Callable[[Scope], tuple[int, Headers, bytes]]] = {
            "/v2": lambda _: (200, [_JSON], server),
            "/v2/health/live": lambda _: (200, [_JSON], b'{"live":true}'),
            "/v2/health/ready": self._ready,
            "/metrics": self._metrics,
        }
        invocations = Dialect(self._read_invocation, self._write_invocation)
        post = {"/invocations": invocations}
        for base in (model, f"{model}/versions/{version}"):
            get[base] = lambda _: (200, [_JSON], described)
            get[f"{base}/ready"] = self._ready
            post[f"{base}/infer"] = Dialect(self._read_infer, self._write_infer)
        return get, post

    def __rsgi__(self, scope: Scope, transport: Transport) -> Awaitable[None]:
        """Answer one request."""
        dialect = self._post.get(scope.path)
        if dialect is not None and scope.method == "POST":
            return self._predict(scope, transport, dialect)
        return self._describe(scope, transport, dialect is not None)

    def __rsgi_del__(self, _: object) -> None:
        """The worker ends: everybody has been answered."""
        if self._samples is not None:
            self._samples.close()

    async def _describe(self, scope: Scope, transport: Transport, is_post: bool) -> None:
        status, headers, body = self._plain(scope, is_post)
        headers = headers + self._common
        if self._board.draining:
            headers.append(("connection", "close"))
        transport.response_bytes(status, headers, body)

    async def _predict(self, scope: Scope, transport: Transport, dialect: Dialect) -> None:
        began = perf_counter()
        self._row.begin()
        prediction = new_id()
        headers = [_JSON, *self._common, ("x-triune-prediction", prediction)]
        status, rows, given = 500, 0, scope.headers
        answer: Answer | None = None
        try:
            try:
                declared = given.get("content-length")
                if declared is not None and int(declared) <= self._limit:
                    body = await transport()
                else:
                    body = await self._pieces(declared, transport)
            except RuntimeError:  # granian's, when the caller has gone
                raise _incomplete() from None
            request = dialect.read(given.get("content-type"), body)
            rows = request.rows
            if self._filler is not None:
                headers += await self._filled(self._filler, request)
            if self.engine.inline:
                answer = self.engine.now(request.values, rows, prediction)
            else:
                answer = await self.engine.later(request.values, rows, prediction)
            payload = dialect.write(request, answer, prediction)
            status = 200
            if answer.degraded is not None:
                self._row.degraded(answer.degraded)
                headers.append(("x-triune-degraded", answer.degraded))
        except Fault as fault:
            status, payload = fault.status, _fault_body(fault)
        except Exception:
            log.exception("unexpected, prediction %s", prediction)
            payload = _INTERNAL
        finally:
            seconds = perf_counter() - began
            self._row.end(status, seconds, rows if status == 200 else 0)
        if self._board.draining:
            headers.append(("connection", "close"))
        transport.response_bytes(status, headers, payload)
        if self._samples is not None and given.get(SHADOW_HEADER) is not None:
            self._samples.take(given.get(REQUEST_HEADER), status, seconds, answer)

    async def _filled(self, filler: Filler, request: Request) -> Headers:
        began = perf_counter()
        state = await filler.fill(request)
        if state is None:
            return []
        self._row.looked_up(state, perf_counter() - began)
        return [(HEADER, state)]

    def _read_infer(self, content_type: str | None, body: bytes) -> Request:
        _require_json(content_type)
        return self._oip.decode(body)

    def _write_infer(self, request: Request, answer: Answer, prediction: str) -> bytes:
        return self._answers.encode(
            answer.bound.outputs,
            answer.values,
            request.rows,
            identifier=request.id or prediction,
            wanted=request.outputs,
            degraded=answer.degraded is not None,
        )

    def _read_invocation(self, content_type: str | None, body: bytes) -> Request:
        return self._invocations.decode(body, content_type)

    def _write_invocation(self, request: Request, answer: Answer, _: str) -> bytes:
        bound, degraded = answer.bound, answer.degraded is not None
        return encode_invocation(bound.main, bound.outputs, answer.values, request.rows, degraded)

    async def _pieces(self, declared: str | None, transport: Transport) -> bytes:
        """A body of unknown length, never more than the limit of it in memory."""
        limit = self._limit
        if declared is not None:
            raise too_large(limit)
        pieces: list[bytes] = []
        size = 0
        async for piece in transport:
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            pieces.append(piece)
        return b"".join(pieces)

    def _plain(self, scope: Scope, is_post: bool) -> tuple[int, Headers, bytes]:
        handler = self._get.get(scope.path)
        if handler is not None and scope.method in ("GET", "HEAD"):
            status, headers, body = handler(scope)
            return status, headers, b"" if scope.method == "HEAD" else body
        if handler is not None or is_post:
            allowed = "POST" if is_post else "GET, HEAD"
            fault = Fault(
                405,
                "method-not-allowed",
                f"{scope.method[:20]} is not allowed here",
                hint=f"Use {allowed}.",
            )
            return 405, [_JSON, ("allow", allowed)], _fault_body(fault)
        return 404, [_JSON], _fault_body(self._unknown(scope.path))

    def _unknown(self, path: str) -> Fault:
        if path.startswith("/v2/models/"):
            return Fault(
                404,
                "model-unknown",
                "this server has no such model or version",
                hint=f"It serves /v2/models/{self._spec.model_name}.",
            )
        return Fault(404, "route-unknown", "there is no such path", hint="See GET /v2.")

    def _ready(self, _: Scope) -> tuple[int, Headers, bytes]:
        if self._board.draining:
            return 503, [_JSON], b'{"ready":false,"why":"draining"}'
        return 200, [_JSON], b'{"ready":true}'

    def _metrics(self, scope: Scope) -> tuple[int, Headers, bytes]:
        accept = scope.headers.get("accept") or ""
        kind, text = exposition(
            self._board,
            self._spec,
            form=self.engine.primary.model.form,
            open_metrics="application/openmetrics-text" in accept,
        )
        return 200, [("content-type", kind)], text


def _samples(spec: ServingSpec, engine: Engine, row: Row) -> Samples | None:
    if spec.samples is None:
        return None
    models = [engine.primary] if engine.fallback is None else [engine.primary, engine.fallback]
    return Samples(SharedFile(spec.samples), row, models)


def _require_json(kind: str | None) -> None:
    if kind is None or kind == "application/json":
        return
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Fault(
            415,
            "content-type-unsupported",
            f"{kind[:80]} is not application/json",
            hint="Send the header `content-type: application/json`.",
        )


def _fault_body(fault: Fault) -> bytes:
    return msgspec.json.encode(
        {"error": fault.reference, "message": fault.message, "hint": fault.hint}
    )


def _incomplete() -> Fault:
    return bad_request(
        "body-incomplete", "the connection ended before the body did", "Send the whole body."
    )


_INTERNAL = _fault_body(
    Fault(500, "server-failed", "an error in the server itself", hint="See the server's log.")
)
