"""The process at the other end of `parallel.spread`."""

from __future__ import annotations

import pickle
import signal
import sys


def serve() -> None:
    """Act on slices from standard input until it ends, as it does when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            act, some = pickle.load(source)  # noqa: S301 - our own parent
        except EOFError:
            return
        try:
            answer: object = [act(item) for item in some]
        except Exception as error:
            answer = error
        pickle.dump(answer, sink)
        sink.flush()
