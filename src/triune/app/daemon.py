"""What our own long-running processes share: a signal to stop, and a file that says "ready"."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from triune.app.context import Context
from triune.core.errors import TriuneError
from triune.core.workspace import Workspace

Open = Callable[[Path], Workspace]
"""The workspace of a daemon, by its folder."""

Work = Callable[[Context, threading.Event, Callable[[], None]], None]
"""A daemon's work: until the event is set; it calls the third argument once it works."""


def tell(words: str) -> None:
    """One dated line in the process's log."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    print(f"{moment} {words}", flush=True)  # noqa: T201


def main(name: str, work: Work, workspace: Open = Workspace) -> None:
    """Run a daemon for the workspace named by the first argument, until SIGTERM or SIGINT.

    ``.triune/run/<name>.ready`` exists while it works. An error that ends it goes to the log;
    the supervisor starts it again.
    """
    context = Context(workspace(Path(sys.argv[1])))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ready = context.workspace.run_folder / f"{name}.ready"
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    try:
        work(context, stop, ready.touch)
    except TriuneError as error:
        tell(f"{error.reference}: {error.message} ({error.hint or 'no hint'})")
        sys.exit(int(error.exit_code))
    finally:
        ready.unlink(missing_ok=True)
        context.close()
