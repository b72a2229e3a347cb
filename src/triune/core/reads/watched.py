"""The watched process's side: begin to be watched, and at the end ask what was seen."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any

import msgspec

from triune.core.reads.model import Capture, Seen
from triune.core.reads.syscalls import here, program

_PR_SET_NO_NEW_PRIVS = 38
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3


class Told(msgspec.Struct):
    """What Python itself saw, where the kernel did not watch."""

    files: list[tuple[str, int, int]] = []
    own: list[str] = []
    connections: list[str] = []


@dataclass
class Watched:
    """This process, from now on watched over ``channel``."""

    channel: socket.socket
    _seen: Seen | None = None

    @classmethod
    def begin(cls, channel: socket.socket) -> Watched:
        """Ask the kernel to tell the other end of ``channel`` of every read from here on.

        Call it before any other thread is started: a thread is watched from its beginning only
        when the one that started it is.
        """
        os.set_inheritable(channel.fileno(), False)
        listener = _listener()
        if listener is None:
            channel.sendall(b"p")
            return cls(channel, _python_seen())
        socket.send_fds(channel, [b"k"], [listener])
        os.close(listener)
        return cls(channel)

    def end(self) -> bytes:
        """What the watching process makes of all that was seen, as it encoded it.

        Raises
        ------
        ConnectionError: the watching process is gone.
        """
        told = Told()
        if self._seen is not None:
            files = [(f.path, f.size, f.mtime_ns) for f in self._seen.files.values()]
            told = Told(files, sorted(self._seen.own), sorted(self._seen.connections))
        with self.channel, self.channel.makefile("rb") as answers:
            self.channel.sendall(msgspec.json.encode(told) + b"\n")
            answer = answers.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionError("the process that watched this one is gone")
        return answer


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def _listener() -> int | None:
    machine = here()
    if machine is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    steps = program(machine)
    kept = ctypes.create_string_buffer(steps, len(steps))
    whole = _Program(len(steps) // 8, ctypes.addressof(kept))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return None
    number = _SYS_SECCOMP[os.uname().machine]
    listener: int = libc.syscall(number, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(whole))
    return listener if listener >= 0 else None


def _python_seen() -> Seen:
    seen = Seen(Capture.PYTHON)

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            seen.opened(os.path.abspath(os.fsdecode(arguments[0])), arguments[2] or 0)
        elif name in {"os.rename", "os.link"}:
            old, new = (os.path.abspath(os.fsdecode(one)) for one in arguments[:2])
            seen.moved(old, new)
        elif name == "sqlite3.connect" and isinstance(arguments[0], str | bytes | os.PathLike):
            seen.opened(os.path.abspath(os.fsdecode(arguments[0])), os.O_RDWR)
        elif name == "socket.connect":
            seen.connections.add(_peer(arguments[1]))

    sys.addaudithook(hook)
    return seen


def _peer(address: object) -> str:
    if isinstance(address, tuple):
        return f"tcp://{address[0]}:{address[1]}"
    return f"unix:{os.fsdecode(address)}" if isinstance(address, str | bytes) else str(address)
