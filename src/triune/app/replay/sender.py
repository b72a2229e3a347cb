"""The open loop: requests leave at their time, however long answers take."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.app.replay import wire
from triune.app.replay.model import NO_ANSWER, Record, Request, Summary

if TYPE_CHECKING:
    import aiohttp

CONNECTIONS = 256
DEADLINE_SECONDS = 15.0
LATEST_ANSWERS = 400
NOT_DEGRADED = ("", "0", "false")
_HEADERS = {"content-type": "application/json"}


@dataclass
class Sender:
    """Sends requests to one URL and tells of each once.

    A request is never sent twice: an error is what a caller without retries would see.
    """

    url: str
    rate: float
    datatypes: dict[str, str]
    summary: Summary
    on_answer: Callable[[Request, Record], None]
    latest: deque[int] = field(default_factory=lambda: deque(maxlen=LATEST_ANSWERS))
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, requests: Iterator[Request], stop: asyncio.Event) -> None:
        """Send until ``stop`` or the requests end; returns when every answer is there."""
        import aiohttp

        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ttl_dns_cache=None)
        timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as session:
            begin = asyncio.get_running_loop().time()
            for number, request in enumerate(requests):
                await _until(begin + number / self.rate, stop)
                if stop.is_set():
                    break
                self.summary.sent += 1
                self.summary.at = request.at.isoformat()
                task = asyncio.create_task(self._send(session, number, request))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if self._running:
                await asyncio.gather(*self._running)

    async def _send(self, session: aiohttp.ClientSession, number: int, request: Request) -> None:
        body = wire.encode(request.inputs, self.datatypes)
        sent, begin = time.time_ns() // 1000, time.perf_counter()
        headers, status, data, error = await _post(session, self.url, request.unit, body)
        took = round((time.perf_counter() - begin) * 1e6)
        record = Record(
            number=number,
            sent=sent,
            took=took,
            status=status,
            unit=request.unit,
            prediction=headers.get("x-triune-prediction", ""),
            release=headers.get("x-triune-release", ""),
            arm=headers.get("x-triune-arm", ""),
            degraded=headers.get("x-triune-degraded", "") not in NOT_DEGRADED,
            score=wire.score(data) if status == 200 else None,
            outcome=request.outcome,
            error=error,
        )
        self.latest.append(took)
        self.summary.count(record)
        self.on_answer(request, record)


async def _post(
    session: aiohttp.ClientSession, url: str, unit: str, body: bytes
) -> tuple[dict[str, str], int, bytes, str]:
    """Headers (names in lower case), status, body, and why there was no answer."""
    import aiohttp

    try:
        async with session.post(
            url, data=body, headers={**_HEADERS, "x-triune-unit": unit}
        ) as answer:
            data = await answer.read()
            headers = {name.lower(): value for name, value in answer.headers.items()}
            error = "" if answer.status < 300 else data[:300].decode(errors="replace")
            return headers, answer.status, data, error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return {}, NO_ANSWER, b"", f"{type(error).__name__}: {error}"


async def _until(moment: float, stop: asyncio.Event) -> None:
    """Return at ``moment`` of the event loop's clock, or when ``stop`` is set."""
    wait = moment - asyncio.get_running_loop().time()
    if wait <= 0:
        # Behind time: let answers in, then go on at once, so that the rate holds on average.
        await asyncio.sleep(0)
        return
    try:
        async with asyncio.timeout(wait):
            await stop.wait()
    except TimeoutError:
        return
