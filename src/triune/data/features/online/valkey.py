"""Online rows in Valkey (or Redis), one node: a hash for each entity, a field for each view."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from queue import Empty, LifoQueue
from typing import Any, TypeVar

import hiredis

from triune.core.errors import Unavailable
from triune.data.features.online.connection import Command, Connection, Server
from triune.data.features.online.ports import Request, Stored

T = TypeVar("T")

AT_ONCE = 1_000
TRIES = 2
_SCAN = 1_000

# Keeps the newer row: bytes 6 to 21 are event and created time, made to sort. They are compared
# byte by byte, since Lua's own comparison of texts follows the server's locale.
PUT = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  local a, b = {string.byte(old, 6, 21)}, {string.byte(ARGV[2], 6, 21)}
  for i = 1, 16 do
    if a[i] > b[i] then return 0 end
    if a[i] < b[i] then break end
  end
  if old == ARGV[2] then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""
PUT_SHA = hashlib.sha1(PUT.encode(), usedforsecurity=False).hexdigest()


class ValkeyPlace:
    """A `Place` on one server. Connections are made when needed and kept."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._server = Server.of(url)
        self._timeout = timeout
        self._idle: LifoQueue[Connection] = LifoQueue()

    def fetch(self, requests: Sequence[Request]) -> list[list[bytes | None]]:
        commands: list[Command] = [(b"HMGET", key, *fields) for key, fields in requests]
        return self._run(partial(_plain, commands=commands))

    def put(self, rows: Iterable[Stored]) -> int:
        written, remaining = 0, iter(rows)
        while some := list(islice(remaining, AT_ONCE)):
            commands = [_put(row) for row in some]
            written += sum(self._run(partial(_scripted, commands=commands)))
        return written

    def apply(
        self, project: str, stream: str, offsets: Mapping[int, int], rows: Sequence[Stored]
    ) -> int:
        pairs = [part for offset in offsets.items() for part in offset]
        commands: list[Command] = [("MULTI",), *map(_put, rows)]
        if pairs:
            commands.append(("HSET", marker(project, stream), *pairs))
        commands.append(("EXEC",))
        results: list[Any] = self._run(partial(_together, commands=commands))
        return sum(results[: len(rows)])

    def applied(self, project: str, stream: str) -> dict[int, int]:
        (flat,) = self._run(partial(_plain, commands=[("HGETALL", marker(project, stream))]))
        return {int(flat[i]): int(flat[i + 1]) for i in range(0, len(flat), 2)}

    def forget(self, project: str, stream: str) -> None:
        self._run(partial(_plain, commands=[("DEL", marker(project, stream))]))

    def drop(self, project: str, field: bytes) -> int:
        dropped = 0
        for keys in self._scan(project):
            commands: list[Command] = [("HDEL", key, field) for key in keys]
            dropped += sum(self._run(partial(_plain, commands=commands)))
        return dropped

    def close(self) -> None:
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    def _scan(self, project: str) -> Iterator[list[bytes]]:
        cursor, pattern = b"0", _literal(project.encode()) + b"\0*"
        while True:
            command: Command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN, "TYPE", "hash")
            ((cursor, keys),) = self._run(partial(_plain, commands=[command]))
            yield keys
            if cursor == b"0":
                return

    def _run(self, act: Callable[[Connection], T]) -> T:
        """Act on a connection; once more on a new one when it was lost: acts may be repeated."""
        for tries_left in reversed(range(TRIES)):
            connection = None
            try:
                connection = self._taken(fresh=tries_left == 0)
                result = act(connection)
            except (OSError, hiredis.HiredisError) as error:
                if connection is not None:
                    connection.close()
                if tries_left == 0 or isinstance(error, TimeoutError):
                    raise self._away(error) from error
            else:
                self._idle.put(connection)
                return result
        raise AssertionError("unreachable")

    def _taken(self, *, fresh: bool) -> Connection:
        try:
            connection = self._idle.get_nowait()
        except Empty:
            return Connection(self._server, self._timeout)
        if fresh:  # what was idle was most likely lost as well
            connection.close()
            return Connection(self._server, self._timeout)
        return connection

    def _away(self, error: Exception) -> Unavailable:
        return Unavailable(
            "online-store-unreachable",
            f"the online store does not answer: {error}",
            context=f"{self._server.host}:{self._server.port}",
            hint="`triune up` starts it; `triune logs valkey` shows what it says.",
        )


def marker(project: str, stream: str) -> bytes:
    """The hash that says how far a stream was applied."""
    return f"{project}:applied:{stream}".encode()


def _put(row: Stored) -> Command:
    return ("EVALSHA", PUT_SHA, 1, row.key, row.field, row.row)


def _good(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise reply
    return replies


def _plain(connection: Connection, commands: Sequence[Command]) -> list[Any]:
    return _good(connection.run(commands))


def _scripted(connection: Connection, commands: Sequence[Command]) -> list[Any]:
    """Run commands that use the script; teach it to a server that does not know it (yet)."""
    replies = connection.run(commands)
    if any(isinstance(r, hiredis.ReplyError) and str(r).startswith("NOSCRIPT") for r in replies):
        _good(connection.run([("SCRIPT", "LOAD", PUT)]))
        replies = connection.run(commands)
    return _good(replies)


def _together(connection: Connection, commands: Sequence[Command]) -> list[Any]:
    """Run a transaction; the script must be known before it begins, or half of it would run."""
    if not connection.taught:
        _good(connection.run([("SCRIPT", "LOAD", PUT)]))
        connection.taught = True
    replies = _good(connection.run(commands))
    return _good(replies[-1])


def _literal(text: bytes) -> bytes:
    """A text as a pattern that matches it alone."""
    return b"".join(b"\\" + bytes([c]) if c in b"*?[]\\^-" else bytes([c]) for c in text)
