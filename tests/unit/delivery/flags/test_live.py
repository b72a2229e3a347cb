"""Live flags against a real server, and without it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.flag_servers import QUICK, Served, flag, flags_of, running, serving
from tests.support.ports import block
from triune.core.waiting import wait_until
from triune.delivery.flags import document
from triune.delivery.flags.cache import Cache
from triune.delivery.flags.live.service import LiveFlags, News, State
from triune.delivery.flags.live.wire import Patience
from triune.delivery.flags.model import Code, Kind

Make = Callable[..., LiveFlags]
NEVER = web.AppKey("never", asyncio.Event)


@pytest.fixture
def live() -> Iterator[Make]:
    made: list[LiveFlags] = []

    def make(url: str, cache: Path | None = None, patience: Patience = QUICK) -> LiveFlags:
        one = LiveFlags(lambda: url, None if cache is None else Cache(cache), patience=patience)
        made.append(one)
        one.start()
        return one

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


def value(flags: LiveFlags, key: str = "new-ui") -> Any:
    return flags.evaluator.evaluate(key, "mine", kind=Kind.ANY, targeting_key="u1").value


def becomes(flags: LiveFlags, state: State) -> None:
    wait_until(lambda: flags.state is state, timeout=10, what=state.value)


def comes(flags: LiveFlags, version: str) -> None:
    wait_until(lambda: flags.version == version, timeout=10, what=version)


@pytest.fixture
def port() -> Iterator[int]:
    with block() as ports:
        yield ports[0]


def test_a_change_reaches_who_is_connected(live: Make, cache: Path) -> None:
    with serving(flag()) as served:
        flags = live(served.url, cache)
        assert flags.wait(10)
        assert (flags.state, value(flags)) == (State.CONNECTED, False)
        news: list[News] = []
        flags.listen(lambda one: 1 / 0)  # type: ignore[arg-type, return-value]
        flags.listen(news.append)
        comes(flags, served.publish(flag(default="on"), flag("other")))
        assert (value(flags), value(flags, "other")) == (True, False)
        comes(flags, served.publish(flag("other")))
        assert value(flags) == "mine"
        wait_until(lambda: Cache(cache).load() == flags_of(flag("other")), timeout=5, what="kept")
    assert [one.changed for one in news if one.changed] == [("new-ui", "other"), ("new-ui",)]


def test_without_a_server_the_last_good_flags_are_in_force(
    live: Make, cache: Path, port: int
) -> None:
    Cache(cache).keep(flags_of(flag(default="on")))
    flags = live(f"http://127.0.0.1:{port}", cache)
    assert flags.wait(10)
    assert (flags.state, value(flags)) == (State.STALE, True)
    with serving(flag(), port=port):
        becomes(flags, State.CONNECTED)
        assert value(flags) is False


def test_without_a_server_and_without_a_file_every_call_gets_its_default(
    live: Make, port: int
) -> None:
    flags = live(f"http://127.0.0.1:{port}")
    assert not flags.wait(0.1)
    found = flags.evaluator.evaluate("new-ui", "mine", kind=Kind.STRING)
    assert (found.value, found.error) == ("mine", Code.PROVIDER_NOT_READY)


def test_a_broken_file_is_no_flags_and_is_mended(live: Make, cache: Path) -> None:
    cache.write_text("{")
    with serving(flag()) as served:
        flags = live(served.url, cache)
        assert flags.wait(10)
        wait_until(lambda: "ENABLED" in cache.read_text(), timeout=5, what="the file")
    assert Cache(cache).load() == flags_of(flag())


def test_a_server_that_dies_and_comes_back_loses_nobody(live: Make, port: int) -> None:
    with serving(flag(), port=port) as served:
        many = [live(served.url) for _ in range(20)]
        for one in many:
            assert one.wait(10)
    for one in many:
        becomes(one, State.STALE)
        assert value(one) is False
    with serving(flag(default="on"), port=port):
        for one in many:
            becomes(one, State.CONNECTED)
            assert value(one) is True


def test_where_nothing_can_be_pushed_it_is_asked_for(live: Make) -> None:
    with serving(flag(), max_streams=0) as served:
        flags = live(served.url)
        assert flags.wait(10)
        assert flags.state is State.POLLING
        comes(flags, served.publish(flag(default="on")))
        assert value(flags) is True


def test_a_stream_that_falls_silent_is_left(live: Make) -> None:
    text = document.text_of({"new-ui": flag()})
    version = flags_of(flag()).version
    asked: list[str | None] = []

    async def silent(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Last-Event-ID"))
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(f"event: configuration\nid: {version}\ndata: {text}\n\n".encode())
        await request.app[NEVER].wait()
        return response

    with scripted(silent) as url:
        flags = live(url, patience=Patience(connect=2, silence=0.1, poll=1, retry=0.01, longest=1))
        wait_until(lambda: len(asked) >= 3, timeout=10, what="another attempt")
        assert asked[:2] == [None, version]
        assert value(flags) is False


@pytest.mark.parametrize(
    "events",
    [
        "event: configuration\nid: {version}\ndata: {{\n\n",
        "event: configuration\nid: 000000000000\ndata: {text}\n\n",
        'event: configuration\nid: {version}\ndata: {{"flags": {{"f": {{}}}}}}\n\n',
        'event: configuration\nid: {version}\ndata: {{"flags": []}}\n\n',
    ],
)
def test_what_cannot_be_used_is_refused(live: Make, cache: Path, events: str) -> None:
    Cache(cache).keep(flags_of(flag(default="on")))
    text, version = document.text_of({"new-ui": flag()}), flags_of(flag()).version

    async def rubbish(request: web.Request) -> web.StreamResponse:
        return web.Response(text=events.format(version=version, text=text))

    with scripted(rubbish) as url:
        flags = live(url, cache)
        becomes(flags, State.REFUSED)
        assert value(flags) is True
        assert Cache(cache).load() == flags_of(flag(default="on"))


def test_after_a_change_that_does_not_fit_everything_is_asked_for(live: Make) -> None:
    asked: list[str | None] = []
    now = flags_of(flag(default="on"))

    async def odd(request: web.Request) -> web.StreamResponse:
        known = request.headers.get("Last-Event-ID")
        asked.append(known)
        response = web.StreamResponse()
        await response.prepare(request)
        sent = document.text_of(now.flags)
        events = f"event: configuration\nid: {now.version}\ndata: {sent}\n\n"
        if known is None and len(asked) == 1:
            events += f'event: change\nid: {"1" * 12}\ndata: {{"flags": {{"new-ui": null}}}}\n\n'
        await response.write(events.encode())
        await request.app[NEVER].wait()
        return response

    with scripted(odd) as url:
        flags = live(url)
        wait_until(lambda: len(asked) == 2, timeout=10, what="the second attempt")
        assert asked == [None, None]
        becomes(flags, State.CONNECTED)
        assert value(flags) is True


def test_a_child_after_a_fork_has_a_connection_of_its_own(live: Make) -> None:
    with serving(flag()) as served:
        flags = live(served.url)
        assert flags.wait(10)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            said = b"late"
            try:
                os.write(writer, b"+")
                wait_until(lambda: value(flags) is True, timeout=10, what="the change")
                said = b"seen"
            finally:
                os.write(writer, said)
                os._exit(0)
        assert os.read(reader, 1) == b"+"
        comes(flags, served.publish(flag(default="on")))
        assert os.read(reader, 4) == b"seen"
        os.waitpid(child, 0)
        comes(flags, served.publish(flag()))
        assert flags.state is State.CONNECTED
        os.close(reader)
        os.close(writer)


def test_it_begins_once_ends_at_once_and_may_begin_again(live: Make) -> None:
    with serving(flag()) as served:
        flags = live(served.url)
        flags.start()
        assert flags.wait(10)
        wait_until(lambda: connected(served) == 1, timeout=5, what="one stream")
        flags.stop()
        wait_until(lambda: connected(served) == 0, timeout=5, what="no stream")
        version = served.publish(flag(default="on"))
        assert value(flags) is False
        flags.start()
        comes(flags, version)


def connected(served: Served) -> int:
    return served.server.gauges.streams


def scripted(stream: Any) -> Any:
    """A server whose stream says what a test wants, as a context manager giving its URL."""

    @contextmanager
    def made() -> Iterator[str]:
        application = web.Application()
        application[NEVER] = asyncio.Event()
        application.add_routes([web.get("/flags/v1/stream", stream)])
        with running(application) as (port, loop):
            yield f"http://127.0.0.1:{port}"
            loop.call_soon_threadsafe(application[NEVER].set)

    return made()
