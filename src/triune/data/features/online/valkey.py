"""Online rows in Valkey (or Redis), one node: a hash for each entity, a field for each view."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import hiredis

from triune.core.errors import Unavailable
from triune.data.features.online.connection import Command, Connection, Server
from triune.data.features.online.ports import Request, Stored, moved

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
# Rows and marks in one step, if the marks are as expected (an empty text: absent).
# KEYS: the marks' hash, then a key for each row.
# ARGV: how many are expected, name and value of each; how many marks, name and value of each;
# then field and row for each key.
APPLY = """
local at = 1
local expected = tonumber(ARGV[at])
for i = 1, expected do
  local found = redis.call('HGET', KEYS[1], ARGV[at + 2 * i - 1])
  if (found or '') ~= ARGV[at + 2 * i] then return -1 end
end
at = at + 2 * expected + 1
local marks = tonumber(ARGV[at])
local rows = at + 2 * marks + 1
local written = 0
for k = 2, #KEYS do
  local field, row = ARGV[rows + 2 * (k - 2)], ARGV[rows + 2 * (k - 2) + 1]
  local old = redis.call('HGET', KEYS[k], field)
  local newer = old ~= row
  if old and newer then
    local a, b = {string.byte(old, 6, 21)}, {string.byte(row, 6, 21)}
    for i = 1, 16 do
      if a[i] ~= b[i] then
        newer = a[i] < b[i]
        break
      end
    end
  end
  if newer then
    redis.call('HSET', KEYS[k], field, row)
    written = written + 1
  end
end
for i = 1, marks do
  redis.call('HSET', KEYS[1], ARGV[at + 2 * i - 1], ARGV[at + 2 * i])
end
return written
"""
PUT_SHA = hashlib.sha1(PUT.encode(), usedforsecurity=False).hexdigest()
APPLY_SHA = hashlib.sha1(APPLY.encode(), usedforsecurity=False).hexdigest()


class ValkeyPlace:
    """A `Place` on one server. Connections are made when needed and kept."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._server = Server.of(url)
        self._timeout = timeout
        self._idle: deque[Connection] = deque()  # appends and pops are atomic

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
        self,
        project: str,
        stream: str,
        marks: Mapping[str, int],
        rows: Sequence[Stored],
        *,
        expect: Mapping[str, int | None],
    ) -> int:
        keys = (marker(project, stream), *(row.key for row in rows))
        words: list[bytes | str | int] = ["EVALSHA", APPLY_SHA, len(keys), *keys, len(expect)]
        for name, value in expect.items():
            words += (name, "" if value is None else value)
        words.append(len(marks))
        for name, value in marks.items():
            words += (name, value)
        for row in rows:
            words += (row.field, row.row)
        command: Command = tuple(words)
        (written,) = self._run(partial(_scripted, commands=[command]))
        if written < 0:
            raise moved(stream)
        return int(written)

    def marks(self, project: str, stream: str) -> dict[str, int]:
        (flat,) = self._run(partial(_plain, commands=[("HGETALL", marker(project, stream))]))
        return {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}

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
                self._idle.pop().close()
            except IndexError:
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
                self._idle.append(connection)
                return result
        raise AssertionError("unreachable")

    def _taken(self, *, fresh: bool) -> Connection:
        try:
            connection = self._idle.pop()
        except IndexError:
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
    """The hash that holds a stream's marks."""
    return f"{project}:marks:{stream}".encode()


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
        _good(connection.run([("SCRIPT", "LOAD", PUT), ("SCRIPT", "LOAD", APPLY)]))
        replies = connection.run(commands)
    return _good(replies)


def _literal(text: bytes) -> bytes:
    """A text as a pattern that matches it alone."""
    return b"".join(b"\\" + bytes([c]) if c in b"*?[]\\^-" else bytes([c]) for c in text)
