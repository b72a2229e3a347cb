"""The daemon that keeps every endpoint what its state says, and rolls back by itself. It also
makes the changes of flags that were scheduled, at their time.

Its settings are those of ``triune.toml`` at each look: an endpoint that was declared after it
started is guarded like any other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from triune.app import daemon, flag_times
from triune.app.context import Context
from triune.core.following import follow
from triune.core.workspace import Workspace
from triune.delivery.keeper import Guard

NAME = "guard"


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Guard until told to stop."""
    guard = Guard(context.delivery, daemon.tell)
    times = threading.Thread(
        target=flag_times.keep, args=(context.flag_plans, stop), name="flag-times", daemon=True
    )
    times.start()
    ready()
    guard.run(stop)
    times.join()


def present(root: Path) -> Workspace:
    """The workspace as it is at each look."""
    return follow(root, daemon.tell)


if __name__ == "__main__":
    daemon.main(NAME, work, present)
