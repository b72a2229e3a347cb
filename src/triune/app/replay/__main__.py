"""``python -m triune.app.replay``: a replay that ends on SIGTERM or when its stdin closes."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from triune.app.context import Context
from triune.app.replay.service import Settings, replay
from triune.core.errors import TriuneError
from triune.core.workspace import Workspace


def main(arguments: list[str]) -> int:
    """Replay until told to stop; the exit code is the error's."""
    parser = argparse.ArgumentParser(prog="triune.app.replay")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("endpoint")
    parser.add_argument("--id")
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--hour-seconds", type=float, default=1.0)
    parser.add_argument("--url")
    given = parser.parse_args(arguments)
    settings = Settings(given.rate, given.seconds, given.hour_seconds, given.url, given.id)
    ctx = Context(Workspace(given.workspace))
    try:
        replay(ctx, given.endpoint, settings, prepare=_stop_with_parent)
    except TriuneError as error:
        print(f"error[{error.reference}]: {error.message}", file=sys.stderr)  # noqa: T201
        return int(error.exit_code)
    finally:
        ctx.close()
    return 0


def _stop_with_parent(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def read() -> None:
        if not os.read(0, 64):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, read)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
