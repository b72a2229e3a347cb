"""What a worker does when the parent closes the door, or dies.

Closing the door: a stopping server must refuse new connections yet lose none that it has
accepted. Closing a listening socket resets the connections that wait in it to be accepted,
so the socket is given a filter first that drops every packet that would open a connection;
those who are in are served, the rest are never accepted and go elsewhere. Where the kernel keeps
filters for root the socket stops listening instead, in a moment when nobody waits in it.
"""

from __future__ import annotations

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
_QUEUED = 24  # where tcp_info of a listening socket has the length of its accept queue
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
    """Let nobody connect to this process's listeners on a port any more; how many there are."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        listener = _listener(entry, port)
        if listener is not None:
            with listener:
                _close_door(listener)
            found += 1
    return found


def _listener(entry: Path, port: int) -> socket.socket | None:
    """A duplicate of the listening socket behind a descriptor, if it is one on this port."""
    try:
        if not str(entry.readlink()).startswith("socket:"):
            return None
        candidate = socket.socket(fileno=os.dup(int(entry.name)))
    except OSError:  # the descriptor was closed meanwhile
        return None
    try:
        accepts = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        wanted = bool(accepts) and candidate.getsockname()[1] == port
    except OSError:  # not a socket of the internet
        wanted = False
    if wanted:
        return candidate
    candidate.close()
    return None


def _close_door(listener: socket.socket) -> None:
    code = ctypes.create_string_buffer(_NO_NEWCOMERS)
    program = struct.pack("HxxxxxxP", len(_NO_NEWCOMERS) // 8, ctypes.addressof(code))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
    except PermissionError:  # hardened kernels keep filters for root
        _await_empty_queue(listener)
        listener.shutdown(socket.SHUT_RD)
        _end_on_sigterm()


def _await_empty_queue(listener: socket.socket) -> None:
    """Return in a moment when nobody waits to be accepted, or after a second."""
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUED + 4)
        if not struct.unpack_from("I", info, _QUEUED)[0]:
            return


def _end_on_sigterm() -> None:
    """Make SIGTERM end this process at once: granian keeps asking a socket that no longer
    listens and would not stop, and the parent sends it only when nothing is in flight."""
    set_handler = ctypes.CDLL(None).signal  # `signal.signal` works in the main thread only
    set_handler.argtypes, set_handler.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    set_handler(signal.SIGTERM, None)
