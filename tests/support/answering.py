"""A real HTTP server that answers inference requests as an endpoint would, or misbehaves."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import web


@dataclass
class Endpoint:
    """What the server saw, and how it behaves.

    ``plan`` gives status and whether to drop the connection for the n-th request, from 1.
    """

    release: str = "release:shop@aaaaaaaaaaaa"
    status: int = 200
    delay: float = 0.0
    drop: bool = False
    plan: Callable[[int], tuple[int, bool]] | None = None
    url: str = ""
    units: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    predictions: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.units.append(request.headers.get("x-triune-unit", ""))
        self.bodies.append(json.loads(await request.read()))
        status, drop = self.plan(len(self.bodies)) if self.plan else (self.status, self.drop)
        if self.delay:
            await asyncio.sleep(self.delay)
        if drop:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        prediction = str(uuid4())
        self.predictions.append(prediction)
        headers = {"x-triune-prediction": prediction, "x-triune-release": self.release}
        if status != 200:
            return web.json_response({"error": "broken"}, status=status, headers=headers)
        score = self.bodies[-1]["inputs"][0]["data"][0]
        outputs = [{"name": "label", "data": [1]}, {"name": "score", "data": [score]}]
        return web.json_response({"outputs": outputs}, headers={**headers, "x-triune-arm": "blue"})


@contextmanager
def answering() -> Iterator[Endpoint]:
    """An endpoint on a free loopback port, gone at the end."""
    endpoint, loop, up = Endpoint(), asyncio.new_event_loop(), threading.Event()

    async def serve() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/infer", endpoint.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/infer"
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(serve())
        up.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield endpoint
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
