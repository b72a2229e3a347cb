"""Server-sent events out of a stream of bytes. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Message(NamedTuple):
    """One event; ``name`` is ``message`` where the server names none."""

    name: str
    data: str
    id: str


class Parser:
    """Takes bytes as they come. Lines end with LF or CR LF, as our server's do."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._id = ""

    @property
    def idle(self) -> bool:
        """Whether nothing has begun that has not ended."""
        return not self._rest and not self._data and not self._name

    def feed(self, piece: bytes) -> Iterator[Message]:
        """The events that this piece completes."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            message = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if message is not None:
                yield message

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._end()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
        return None

    def _end(self) -> Message | None:
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        return Message(name, "\n".join(data), self._id) if data else None
