"""A flag server in a thread of the test, fed by hand: everything but the ledger is real."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from triune.core.waiting import wait_until
from triune.delivery.flags import snapshot
from triune.delivery.flags.definitions import read
from triune.delivery.flags.live.wire import Patience
from triune.delivery.flags.model import Flag
from triune.delivery.flags.server import editions
from triune.delivery.flags.server.application import FlagServer
from triune.delivery.flags.snapshot import Snapshot

QUICK = Patience(connect=2, silence=2, poll=0.05, retry=0.01, longest=0.05)
SPLIT = {"fractional": [["on", 50], ["off", 50]]}


def flag(key: str = "new-ui", default: str = "off", targeting: Any = None, **more: Any) -> Flag:
    """A boolean flag."""
    raw = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": default}
    raw |= {"targeting": targeting} if targeting else {}
    return read({"flags": {key: raw | more}}).flags[key]


def flags_of(*flags: Flag) -> Snapshot:
    """A set of flags."""
    return snapshot.of({one.key: one for one in flags})


class Served:
    """A server on a port, and its flags."""

    def __init__(self, port: int, server: FlagServer, loop: asyncio.AbstractEventLoop) -> None:
        self.port, self.server, self._loop = port, server, loop
        self.url = f"http://127.0.0.1:{port}"

    def publish(self, *flags: Flag) -> str:
        """Put these flags in force; their version."""
        now, wanted = self.server.editions.now, flags_of(*flags)
        made = editions.first(wanted) if now is None else editions.following(now, wanted)
        done = asyncio.run_coroutine_threadsafe(self._publish(made), self._loop)
        done.result(10)
        return wanted.version

    async def _publish(self, edition: editions.Edition) -> None:
        self.server.publish(edition)


@contextmanager
def serving(*flags: Flag, port: int = 0, max_streams: int = 100) -> Iterator[Served]:
    """A server with these flags; without any it has none yet."""
    server = FlagServer("shop", max_streams=max_streams)
    with running(server.application(), port) as (chosen, loop):
        served = Served(chosen, server, loop)
        if flags:
            served.publish(*flags)
        try:
            yield served
        finally:
            loop.call_soon_threadsafe(server.streams.close)


@contextmanager
def running(
    application: web.Application, port: int = 0
) -> Iterator[tuple[int, asyncio.AbstractEventLoop]]:
    """An application that answers on a port of loopback, in a thread."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    chosen: list[int] = []

    async def main() -> None:
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        chosen.append(runner.addresses[0][1])
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    try:
        wait_until(ready.is_set, timeout=10, what="the server")
        yield chosen[0], loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def said(
    port: int, head: Mapping[str, str] | None = None, path: str = "/flags/v1/stream"
) -> socket.socket:
    """A connection that has asked for something."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (head or {}).items()]
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return connection


def heard(connection: socket.socket, until: str) -> str:
    """What comes until a word is in it."""
    got = b""
    while until.encode() not in got:
        piece = connection.recv(65536)
        assert piece, f"it ended: {got!r}"
        got += piece
    return got.decode()
