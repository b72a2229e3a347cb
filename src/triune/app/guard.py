"""The daemon that keeps every endpoint what its state says, and rolls back by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from triune.app import daemon
from triune.app.context import Context
from triune.delivery.keeper import Guard

NAME = "guard"


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Guard until told to stop."""
    guard = Guard(context.delivery, daemon.tell)
    ready()
    guard.run(stop)


if __name__ == "__main__":
    daemon.main(NAME, work)
