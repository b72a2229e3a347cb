"""Becomes a shell command that is watched: ``python -m triune.core.reads.shell CHANNEL COMMAND``.

The filter is installed first, and lasts through the exec; the channel is closed by it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from triune.core.reads.watched import Watched

_PYTHON_IGNORES = ("SIGPIPE", "SIGXFZ", "SIGXFSZ")


def main() -> None:
    """Never returns."""
    channel, command = sys.argv[1:]
    Watched.begin(socket.socket(fileno=int(channel)))
    for name in _PYTHON_IGNORES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execv("/bin/sh", ["/bin/sh", "-c", command])  # noqa: S606 - it is a shell


if __name__ == "__main__":
    main()
