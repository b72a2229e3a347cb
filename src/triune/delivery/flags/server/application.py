"""The flag server's routes, its limits, and who may ask.

It is for processes of this machine: a page of another site that a browser shows can neither read
its answers (no CORS) nor come in under another name (``Host`` and ``Origin`` are looked at).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address
from time import perf_counter
from urllib.parse import urlsplit

from aiohttp import web

from triune.delivery.flags.server import answers
from triune.delivery.flags.server.editions import Edition, Editions
from triune.delivery.flags.server.gauges import Gauges, exposition
from triune.delivery.flags.server.streams import Streams

log = logging.getLogger("triune.flags")

MAX_BODY_BYTES = 1 << 20
MAX_STREAMS = 10_000
EVALUATE = "/ofrep/v1/evaluate/flags"
CONFIGURATION = "/flags/v1/configuration"
STREAM = "/flags/v1/stream"
_JSON = "application/json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FlagServer:
    """Answers for the flags of one workspace.

    Parameters
    ----------
    flag_set: whose flags these are; in every answer's metadata
    max_streams: so many processes may be connected; the next is asked to come again (429)
    """

    def __init__(self, flag_set: str, *, max_streams: int = MAX_STREAMS) -> None:
        self._flag_set, self._max_streams = flag_set, max_streams
        self.gauges = Gauges()
        self.editions = Editions()
        self.streams = Streams(self.editions, self.gauges)

    def publish(self, edition: Edition) -> None:
        """Put an edition in force and push it to every stream. From the event loop's thread."""
        self.editions.publish(edition)
        self.gauges.took(edition.version, len(edition.snapshot.flags))
        self.streams.wake()

    def application(self) -> web.Application:
        """The routes."""
        made = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._around])
        made.add_routes(
            [
                web.post(f"{EVALUATE}/{{key}}", self._one),
                web.post(EVALUATE, self._every),
                web.get(CONFIGURATION, self._configuration),
                web.get(STREAM, self._stream, allow_head=False),
                web.get("/healthz", self._health),
                web.get("/metrics", self._metrics),
            ]
        )
        return made

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        began = perf_counter()
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        response = await self._answered(request, handler)
        if route != STREAM or response.status != 200:
            self.gauges.answered(route, response.status, perf_counter() - began)
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = _refused(request.headers.get("Host"), request.headers.get("Origin"))
        if refused:
            return _failure(403, refused)
        try:
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return _failure(413, f"a body has at most {MAX_BODY_BYTES} bytes")
        except web.RequestPayloadError:
            return _failure(400, "the body is not what its headers say")
        except web.HTTPException as error:
            response = _failure(error.status, error.reason)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except Exception:
            log.exception("unexpected, %s %s", request.method, request.path)
            return _failure(500, "an error in the flag server itself; its log has more")

    async def _one(self, request: web.Request) -> web.StreamResponse:
        body, now = await request.read(), self.editions.now
        if now is None:
            return _not_ready()
        return self._ofrep(answers.one(now, self._flag_set, request.match_info["key"], body))

    async def _every(self, request: web.Request) -> web.StreamResponse:
        body, now = await request.read(), self.editions.now
        if now is None:
            return _not_ready()
        known = request.headers.get("If-None-Match")
        return self._ofrep(answers.every(now, self._flag_set, body, known))

    def _ofrep(self, answer: answers.Answer) -> web.Response:
        self.gauges.evaluations.update(answer.counted)
        headers = {} if answer.etag is None else {"ETag": answer.etag}
        if answer.status == 304:
            return web.Response(status=304, headers=headers)
        return web.Response(
            status=answer.status, body=answer.body, content_type=_JSON, headers=headers
        )

    async def _configuration(self, request: web.Request) -> web.StreamResponse:
        now = self.editions.now
        if now is None:
            return _not_ready()
        headers = {"ETag": f'"{now.version}"', "Cache-Control": "no-cache"}
        if answers.matches(request.headers.get("If-None-Match"), headers["ETag"]):
            return web.Response(status=304, headers=headers)
        return web.Response(text=now.text, content_type=_JSON, headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.editions.now is None:
            return _not_ready()
        if self.gauges.streams >= self._max_streams:
            told = f"{self._max_streams} processes are connected, that is all there can be"
            return _failure(429, told, {"Retry-After": "5"})
        self.gauges.streams += 1
        try:
            return await self.streams.serve(request)
        finally:
            self.gauges.streams -= 1

    async def _health(self, _: web.Request) -> web.StreamResponse:
        now = self.editions.now
        if now is None:
            return _not_ready()
        ledger = "up" if self.gauges.ledger else "away"
        body = f'{{"version": "{now.version}", "ledger": "{ledger}"}}'
        return web.Response(text=body, content_type=_JSON)

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "text/plain; version=0.0.4"}
        return web.Response(body=exposition(self.gauges).encode(), headers=headers)


def _not_ready() -> web.Response:
    told = "no flags yet: the ledger does not answer, and none were kept from before"
    return _failure(503, told, {"Retry-After": "1"})


def _failure(status: int, details: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=answers.failed(details), content_type=_JSON, headers=headers
    )


@lru_cache(256)
def _refused(host: str | None, origin: str | None) -> str:
    """Why a request is not taken; empty when it is."""
    if host is not None and not _local(f"//{host}"):
        return "this server is for this machine: ask it by the name localhost or 127.0.0.1"
    if origin is not None and not _local(origin):
        return "pages of other sites may not ask"
    return ""


def _local(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
