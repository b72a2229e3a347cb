"""Reading online rows from an event loop: requests of many callers share one connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from triune.data.features.online.connection import Command, Server, pack
from triune.data.features.online.ports import Request

PAUSE_SECONDS = 0.2
"""After a failure the server is not called again for so long: callers are told at once."""
_CHUNK = 65_536


class AsyncValkey:
    """One server, from one event loop. Connects when needed, and again after a failure."""

    def __init__(self, url: str, timeout: float) -> None:
        self._server = Server.of(url)
        self._timeout = timeout
        self._link: _Link | None = None
        self._not_before = 0.0

    async def fetch(self, requests: Sequence[Request]) -> list[list[bytes | None]]:
        """The fields of each key, in one round trip.

        Raises
        ------
        OSError, hiredis.HiredisError: the server is away, or did not answer in time.
        """
        if time.monotonic() < self._not_before:
            raise ConnectionError("the server was away just now")
        commands: list[Command] = [("HMGET", key, *fields) for key, fields in requests]
        try:
            return await asyncio.wait_for(self._run(commands), self._timeout)
        except (OSError, hiredis.HiredisError, TimeoutError):
            self._not_before = time.monotonic() + PAUSE_SECONDS
            if self._link is not None:
                self._link.close()
                self._link = None
            raise

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        if self._link is None or self._link.closed:
            self._link = await _Link.open(self._server)
        return await self._link.run(commands)


class _Link:
    """An open connection: replies come in the order of the commands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._parser = hiredis.Reader()
        self._waiting: deque[tuple[int, list[Any], asyncio.Future[list[Any]]]] = deque()
        self._task = asyncio.create_task(self._receive())
        self.closed = False

    @classmethod
    async def open(cls, server: Server) -> _Link:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        link = cls(reader, writer)
        if server.greeting():
            await link.run(server.greeting())
        return link

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((len(commands), [], future))
        self._writer.write(b"".join(map(pack, commands)))
        return await future

    async def _receive(self) -> None:
        try:
            while data := await self._reader.read(_CHUNK):
                self._parser.feed(data)
                while (reply := self._parser.gets()) is not False:
                    self._take(reply)
        except (OSError, hiredis.HiredisError) as error:
            self._fail(error)
        else:
            self._fail(ConnectionResetError("the server closed the connection"))

    def _take(self, reply: Any) -> None:
        count, replies, future = self._waiting[0]
        replies.append(reply)
        if len(replies) < count:
            return
        self._waiting.popleft()
        if future.done():
            return
        bad = next((one for one in replies if isinstance(one, hiredis.ReplyError)), None)
        if bad is not None:
            future.set_exception(bad)
        else:
            future.set_result(replies)

    def _fail(self, error: Exception) -> None:
        self.closed = True
        self._writer.close()
        for _, _, future in self._waiting:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()

    def close(self) -> None:
        """Drop the connection; who waits is told."""
        self._task.cancel()
        self._fail(ConnectionResetError("the connection was given up"))
