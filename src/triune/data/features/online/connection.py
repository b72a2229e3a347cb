"""A connection to a server that speaks RESP: whole batches out, whole batches back.

Plainer than a client library on purpose: a read of five views is one write and one read of a
socket. Replies are parsed by hiredis.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

Command = tuple[bytes | str | int, ...]
pack: Callable[[Command], bytes] = cast(Any, hiredis.pack_command)
_CHUNK = 65_536
_TIMEVAL = struct.Struct("@ll")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and who we are there; the password is never printed."""

    host: str
    port: int
    database: int = 0
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> Server:
        """The server of ``redis://[user][:password@]host[:port][/database]``."""
        parts = urlsplit(url)
        return cls(
            parts.hostname or "127.0.0.1",
            parts.port or 6379,
            int(parts.path.strip("/") or 0),
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )

    def greeting(self) -> list[Command]:
        """The commands that a new connection begins with."""
        commands: list[Command] = []
        if self.password:
            who = (self.user,) if self.user else ()
            commands.append(("AUTH", *who, self.password))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands


class Connection:
    """One socket; not for several threads at once. Broken by any error: make a new one."""

    def __init__(self, server: Server, timeout: float) -> None:
        """Connect and sign in. Raises OSError, `hiredis.ReplyError` when refused."""
        self._socket = socket.create_connection((server.host, server.port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel keeps the time: Python would ask it before every call whether it may go on.
        self._socket.settimeout(None)
        limit = _TIMEVAL.pack(int(timeout), int(timeout % 1 * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, limit)
        self._buffer = bytearray(_CHUNK)
        self._reader = hiredis.Reader()
        for reply in self.run(server.greeting()):
            if isinstance(reply, hiredis.ReplyError):
                self.close()
                raise reply

    def run(self, commands: Iterable[Command]) -> list[Any]:
        """Send commands at once and wait for all replies; an error is a reply like others.

        Raises OSError: the connection is lost or too slow; what was sent may have been done.
        """
        packed = [pack(command) for command in commands]
        if not packed:
            return []
        try:
            self._socket.sendall(b"".join(packed))
            return [self._reply() for _ in packed]
        except BlockingIOError as error:
            raise TimeoutError("no answer in time") from error

    def _reply(self) -> Any:
        while (reply := self._reader.gets()) is False:
            size = self._socket.recv_into(self._buffer)
            if not size:
                raise ConnectionResetError("the server closed the connection")
            self._reader.feed(self._buffer, 0, size)
        return reply

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
