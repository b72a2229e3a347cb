"""The two ways to the flag server: a stream that it pushes into, and asking it."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from triune.delivery.flags.live.events import Message, Parser

CONFIGURATION = "/flags/v1/configuration"
STREAM = "/flags/v1/stream"
_PIECE = 1 << 16
_OK, _NOT_MODIFIED = 200, 304


class Away(Exception):
    """The server cannot be reached, or does not answer as it should."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    Attributes
    ----------
    connect: until the server has answered
    silence: a stream on which nothing came for so long is dead; the server sends a heartbeat
        every 10 seconds at least
    poll: between two questions while there is no stream
    retry, longest: the first and the longest pause before the server is tried again; each is
        shortened by chance by up to a half, so that a thousand processes do not come at once
    """

    connect: float = 3.0
    silence: float = 25.0
    poll: float = 2.0
    retry: float = 0.1
    longest: float = 2.0


class Wire:
    """Connections to one server, one at a time. After `interrupt` from another thread whatever
    waits ends, and there is no other connection."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._socket: socket.socket | None = None
        self._interrupted = False

    def stream(self, url: str, version: str) -> Generator[tuple[Message, ...], None, None]:
        """What the server pushes to who has ``version`` (empty: nothing), until it ends: messages,
        or none where a heartbeat came.

        Raises
        ------
        Away: it could not be had, fell silent or broke off.
        """
        headers = {"Accept": "text/event-stream"}
        if version:
            headers["Last-Event-ID"] = version
        with _as_away("stream"):
            connection, response = self._get(url, STREAM, headers)
            try:
                if response.status != _OK:
                    raise Away(f"the stream answers {response.status}")
                self._quiet_for(self._patience.silence)
                parser = Parser()
                while piece := response.read1(_PIECE):
                    messages = tuple(parser.feed(piece))
                    if messages or parser.idle:
                        yield messages
            finally:
                self._close(connection, response)

    def ask(self, url: str, version: str) -> tuple[str, str] | None:
        """The configuration and its version; None when it is still ``version``.

        Raises
        ------
        Away: there was no such answer.
        """
        headers = {"If-None-Match": f'"{version}"'} if version else {}
        with _as_away("configuration"):
            connection, response = self._get(url, CONFIGURATION, headers)
            try:
                if response.status == _NOT_MODIFIED:
                    return None
                if response.status != _OK:
                    raise Away(f"the flag server answers {response.status}")
                text = response.read().decode("utf-8", "replace")
                return text, (response.headers.get("ETag") or "").strip('"')
            finally:
                self._close(connection, response)

    def interrupt(self) -> None:
        """End what waits for the server."""
        self._interrupted = True
        waiting = self._socket
        if waiting is not None:
            with suppress(OSError):
                waiting.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """In a forked child: let go of the parent's connection, which is the parent's alone."""
        inherited, self._socket = self._socket, None
        if inherited is not None and inherited.fileno() >= 0:
            # Put in its place, not closed: its number must not become another file's.
            with Path(os.devnull).open("rb") as nothing:
                os.dup2(nothing.fileno(), inherited.fileno(), inheritable=False)

    def _get(
        self, url: str, path: str, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._patience.connect)
        try:
            connection.connect()
            self._socket = connection.sock
            self._go_on()
            connection.request("GET", parts.path.rstrip("/") + path, headers=headers)
            return connection, connection.getresponse()
        except BaseException:
            self._close(connection, None)
            raise

    def _go_on(self) -> None:
        """Raises `Away` after `interrupt`, which may have come while there was no socket yet."""
        if self._interrupted:
            raise Away("it was told to end")

    def _quiet_for(self, seconds: float) -> None:
        if self._socket is not None:
            self._socket.settimeout(seconds)

    def _close(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse | None,
    ) -> None:
        self._socket = None
        if response is not None:
            response.close()
        connection.close()


@contextmanager
def _as_away(what: str) -> Iterator[None]:
    """Whatever goes wrong with a connection is `Away`."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Away(f"{what}: {type(error).__name__}: {error}") from error
