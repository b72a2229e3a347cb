"""kill -9 of the flag server while flags change: no change is lost, and nobody who is connected."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.flag_servers import flag
from tests.support.services import MakeWorkspace, kill, only, pid_of
from triune.app import services
from triune.app.context import Context
from triune.core.waiting import wait_until
from triune.delivery.flags.cache import Cache
from triune.delivery.flags.live.service import LiveFlags, State

pytestmark = pytest.mark.engine
CLIENTS, KILLS = 25, 2


def connected(one: LiveFlags) -> bool:
    return one.state is State.CONNECTED


def pushed_on(one: LiveFlags) -> None:
    seen = one.version
    wait_until(lambda: one.version != seen, timeout=20, what="a change")


def test_killed_during_changes(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    context = Context(make_workspace(settings=only("flags")))
    context.flags.set(flag(), "new")
    services.up(context)
    url = context.addresses.flags_url
    clients = [LiveFlags(lambda: url, Cache(tmp_path / f"{n}.json")) for n in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        assert one.wait(20)
    stop, made = threading.Event(), [1]

    def change() -> None:
        while not stop.wait(0.02):
            context.flags.set(flag(metadata={"n": made[-1]}), f"change {made[-1]}")
            made.append(made[-1] + 1)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(KILLS):
            pushed_on(clients[0])
            kill(pid_of(context.supervisor, "flags"))
            pushed_on(clients[0])
    finally:
        stop.set()
        changing.join()
    last = context.flags.current()
    for one in clients:
        wait_until(lambda o=one: o.version == last.version, timeout=20, what="the last")  # type: ignore[misc]
        wait_until(lambda o=one: connected(o), timeout=20, what="connected")  # type: ignore[misc]
    history = context.flags.history("new-ui")
    assert [one.number for one in history] == list(range(len(history), 0, -1))
    assert len(history) == made[-1]
    for number, one in enumerate(clients):
        one.stop()
        kept = Cache(tmp_path / f"{number}.json").load()
        assert kept is not None
    context.close()
