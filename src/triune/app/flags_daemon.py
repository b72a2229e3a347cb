"""The daemon that serves flags: what the ledger says, to whoever asks or is connected."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import Callable

import uvloop
from aiohttp import web

from triune.app import daemon
from triune.app.context import Context
from triune.core.errors import Conflict, Refused
from triune.core.files import locked
from triune.delivery.flags.cache import Cache, cache_file
from triune.delivery.flags.server import editions
from triune.delivery.flags.server.application import MAX_STREAMS, FlagServer
from triune.delivery.flags.server.watch import Watch
from triune.delivery.flags.snapshot import Snapshot
from triune.operations.services.ports import HOST

NAME = "flags"
BACKLOG = 4096
"""All clients of a server that was killed come back at once."""
FIRST_LOOK_SECONDS = 2.0
"""How long the ledger may take before the flags that were kept are served."""
LAST_SECONDS = 2.0
"""How long those who do not read their last answer are waited for at the end."""
_SPARE_DESCRIPTORS = 100


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Serve until told to stop."""
    lock = context.workspace.run_folder / f"{NAME}.lock"
    with locked(lock), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Serving(context).run(stop, ready))


class Serving:
    """One server and the thread that watches the ledger for it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cache = Cache(cache_file(context.workspace.state, "server"))
        self._server = FlagServer(context.workspace.name, max_streams=_most_streams())
        self._made: editions.Edition | None = None
        self._looked = threading.Event()

    async def run(self, stop: threading.Event, ready: Callable[[], None]) -> None:
        """Serve until told to stop; ready once it answers, also when there are no flags yet.

        Raises whatever ended the watch on the ledger: nobody may be served without it.
        """
        loop = asyncio.get_running_loop()
        self._begin_with_the_kept()
        runner = web.AppRunner(
            self._server.application(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=LAST_SECONDS,
        )
        await runner.setup()
        port = self._context.addresses.port(NAME)
        watch = asyncio.create_task(asyncio.to_thread(self._watch, loop, stop))
        await asyncio.to_thread(self._looked.wait, FIRST_LOOK_SECONDS)
        try:
            await web.TCPSite(runner, HOST, port, backlog=BACKLOG).start()
            ready()
            await asyncio.to_thread(stop.wait)
        finally:
            stop.set()
            self._server.streams.close()
            await runner.cleanup()
            await watch

    def _begin_with_the_kept(self) -> None:
        try:
            kept = self._cache.load()
        except Refused as broken:
            daemon.tell(f"{broken.reference}: {broken.message}")
            return
        if kept is not None:
            self._made = editions.first(kept)
            self._server.publish(self._made)

    def _watch(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        try:
            self._follow(loop, stop)
        finally:
            self._looked.set()
            stop.set()

    def _follow(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        def answers(up: bool) -> None:
            self._server.gauges.ledger = up
            self._looked.set()

        def publish(flags: Snapshot) -> None:
            made = self._next(flags)
            if made is not None:
                self._keep(flags)
                loop.call_soon_threadsafe(self._server.publish, made)

        Watch(self._context.flags, self._context.ledger, publish, answers, daemon.tell).run(stop)

    def _next(self, flags: Snapshot) -> editions.Edition | None:
        """The next edition; None when the flags are those in force."""
        before = self._made
        if before is not None and before.version == flags.version:
            return None
        made = editions.first(flags) if before is None else editions.following(before, flags)
        self._made = made
        return made

    def _keep(self, flags: Snapshot) -> None:
        """On disk before anybody hears of them: a restarted server is never behind its clients."""
        try:
            self._cache.keep(flags)
        except (OSError, Conflict) as error:
            daemon.tell(f"the flags could not be kept on disk: {error}")


def _most_streams() -> int:
    """As many as there may be files open; the limit is raised to what the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return MAX_STREAMS if most < 0 else max(1, min(MAX_STREAMS, most - _SPARE_DESCRIPTORS))


if __name__ == "__main__":
    daemon.main(NAME, work)
