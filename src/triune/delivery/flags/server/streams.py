"""Server-sent events: the configuration first, then each change, until somebody goes.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from aiohttp import web

from triune.delivery.flags.server.editions import Editions
from triune.delivery.flags.server.gauges import Gauges

HEARTBEAT_SECONDS = (5.0, 10.0)
"""Between two of one stream, by chance: a thousand do not fall on the same moment."""
PATIENCE_SECONDS = 20.0
"""Who has not read for so long is cut off, and connects again when it can."""
_DRAW = random.SystemRandom()
_HEARTBEAT = b": heartbeat\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class Streams:
    """All streams of a server. Memory for each is bounded: what it has not been sent is worked out
    from its version when there is room."""

    def __init__(self, editions: Editions, gauges: Gauges) -> None:
        self._editions, self._gauges = editions, gauges
        self._waiting: set[asyncio.Event] = set()
        self._closing = False

    def wake(self) -> None:
        """There is another edition."""
        for one in self._waiting:
            one.set()

    def close(self) -> None:
        """End all streams; nobody loses anything, they go on from where they are elsewhere."""
        self._closing = True
        self.wake()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One stream, from the version that ``Last-Event-ID`` names."""
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            await self._send(response, woken, request.headers.get("Last-Event-ID"))
        except TimeoutError:
            self._gauges.cut += 1
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # it has gone
        finally:
            self._waiting.discard(woken)
        return response

    async def _send(
        self, response: web.StreamResponse, woken: asyncio.Event, version: str | None
    ) -> None:
        while not self._closing:
            woken.clear()
            events, now = self._editions.since(version), self._editions.now
            async with asyncio.timeout(PATIENCE_SECONDS):
                await response.write(events or _HEARTBEAT)
            self._gauges.sent += bool(events)
            version = now.version if now is not None else version
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAW.uniform(*HEARTBEAT_SECONDS)):
                    await woken.wait()
