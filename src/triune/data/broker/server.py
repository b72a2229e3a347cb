"""Answering clients: one request of each connection at a time, as Kafka does."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress

from triune.data.broker.answers import Answers
from triune.data.broker.log import PartitionLog, Tell
from triune.data.broker.topics import Topics
from triune.data.broker.wire import NotUnderstood, parse

LARGEST_FRAME = 100 << 20
EXPIRE_SECONDS = 30.0
_SIZE = struct.Struct(">i")


class Durability:
    """Makes appended batches durable, many at once, and tells who waits for news."""

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail
        self._running: dict[PartitionLog, asyncio.Task[None]] = {}
        self._news: asyncio.Future[None] | None = None

    async def reach(self, log: PartitionLog, end: int) -> None:
        """Wait until everything before an offset is durable."""
        while log.durable < end:
            task = self._running.get(log)
            if task is None:
                task = self._running[log] = asyncio.create_task(self._sync(log))
            await asyncio.shield(task)

    async def _sync(self, log: PartitionLog) -> None:
        try:
            settled = await asyncio.to_thread(log.sync)
        except OSError as error:
            self._fail(error)  # the kernel may have dropped what it could not write: start anew
            raise
        finally:
            del self._running[log]
        settled()
        if self._news is not None:
            self._news.set_result(None)
            self._news = None

    async def news(self, seconds: float) -> None:
        """Wait until something became durable, at most so long."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._news), seconds)


class Server:
    """The broker behind one address."""

    def __init__(self, topics: Topics, answers: Answers, tell: Tell) -> None:
        self._topics = topics
        self._answers = answers
        self._tell = tell
        self._connections: set[asyncio.Task[None]] = set()

    async def run(
        self, host: str, port: int, stop: asyncio.Event, ready: Callable[[], None]
    ) -> None:
        """Serve until told to stop."""
        server = await asyncio.start_server(self._connected, host, port, limit=1 << 20)
        ready()
        expiring = asyncio.create_task(self._expire())
        try:
            await stop.wait()
        finally:
            expiring.cancel()
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _expire(self) -> None:
        while True:
            self._topics.expire()
            await asyncio.sleep(EXPIRE_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client is gone
        except NotUnderstood as error:
            self._tell(f"a client was sent away: {error}")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
            if not 0 < size <= LARGEST_FRAME:
                raise NotUnderstood(f"a request of {size} bytes")
            answer = await self._answers.to(parse(await reader.readexactly(size)))
            if answer is not None:
                writer.write(answer)
                await writer.drain()
