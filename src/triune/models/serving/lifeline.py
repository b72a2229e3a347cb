"""What a worker does when the parent closes the door, or dies.

Closing the door: a stopping server must refuse new connections yet lose none that it has
accepted. Closing a listening socket resets the connections that wait in it to be accepted,
so the socket is given a filter first that drops every packet that would open a connection;
those who are in are served, the rest are never accepted and go elsewhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
import threading
import time
from pathlib import Path

_ATTACH_FILTER = 26
_NO_NEWCOMERS = struct.pack(
    "HBBIHBBIHBBIHBBI",
    *(0x30, 0, 0, 13),  # load byte 13 of the TCP header: its flags
    *(0x45, 0, 1, 0x02),  # is SYN set?
    *(0x06, 0, 0, 0),  # then drop
    *(0x06, 0, 0, 0xFFFFFFFF),  # else keep
)


def follow(parent: int, door: int, port: int, grace: float) -> None:
    """Watch the parent and the door (an eventfd) from a thread of this worker.

    When the door closes, newcomers on ``port`` are refused. When the parent is gone the
    worker stops, gracefully at first and after ``grace`` seconds at once.
    """
    handle = os.pidfd_open(parent)
    threading.Thread(
        target=_watch, args=(handle, door, port, grace), name="triune-lifeline", daemon=True
    ).start()


def _watch(parent: int, door: int, port: int, grace: float) -> None:
    poll = select.poll()
    poll.register(parent, select.POLLIN)
    poll.register(door, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if parent in ready:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(grace)
            os._exit(1)
        poll.unregister(door)
        refuse_newcomers(port)


def refuse_newcomers(port: int) -> int:
    """Drop what would open a connection to this process's listeners on a port; how many."""
    code = ctypes.create_string_buffer(_NO_NEWCOMERS)
    program = struct.pack("HxxxxxxP", len(_NO_NEWCOMERS) // 8, ctypes.addressof(code))
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if not str(entry.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as listener:
                if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    continue
                if listener.getsockname()[1] == port:
                    listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
                    found += 1
    return found
