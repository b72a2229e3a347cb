"""The daemon that serves flags: it does not go on without its watch on the ledger."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from triune.app import flags_daemon
from triune.app.context import Context
from triune.core.workspace import Workspace
from triune.delivery.flags.server.watch import Watch


def test_an_error_that_ends_the_watch_ends_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "triune.toml").write_text('[workspace]\nname = "shop"\n')
    context, ready = Context(Workspace(tmp_path)), threading.Event()

    def broken(_: Watch) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(Watch, "look", broken)
    with pytest.raises(ZeroDivisionError):
        flags_daemon.work(context, threading.Event(), ready.set)
    context.close()
